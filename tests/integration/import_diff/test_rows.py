"""Imports in diff mode: only rows that were not in the last file of their program are submitted."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from linking.models import ProgramEnrollment
from tests.support.ids import OTHER_PROGRAM, PROGRAM
from tests.support.inbox import claim_files, drop, report_of, run_import, run_jobs
from tests.support.inbox_files import write_file
from tests.support.jobs import run
from tests.support.nights import Nights, keys_of, user_of
from tests.support.populations import add_learners
from tests.support.rows import make_user
from worker.imports.import_file import ImportFileError
from worker.imports.submission import import_in_place
from worker.jobs.imported_rows import read_sums
from worker.jobs.row_digests import digests_of, sum_buckets
from worker.models import ImportedRow, InboxFile, LinkingJob, ProgramFile

if TYPE_CHECKING:
    from django.conf import LazySettings

Mapping = dict[str, str]


def test_the_first_file_is_submitted_as_a_whole_and_the_next_without_what_it_repeats(
    night: Nights, learners: Mapping
) -> None:
    make_user("new")
    first = night.submit(learners)
    assert (first.total, first.options["skipped"]) == (6, 0)
    run(first)

    changed = {**learners, "s-1": "new", "s-4": "nobody"}
    job = night.submit(changed)

    assert (job.total, job.options["skipped"]) == (2, 4)
    assert keys_of(job) == ["s-1", "s-4"]
    assert run(job).keys() == {"s-4"}
    assert user_of("s-1") == "new"


def test_a_file_without_news_has_a_job_without_learners_even_if_it_is_the_same(
    night: Nights, learners: Mapping
) -> None:
    night(learners)

    job = night.submit(learners)

    assert (job.total, job.options["skipped"]) == (0, 6)
    assert run(job) == {}
    job.refresh_from_db()
    assert job.state == "done"
    assert night(dict(reversed(learners.items()))) == []  # The order says nothing new, either.


def test_an_older_file_is_refused_although_its_rows_would_be_new(night: Nights, learners: Mapping) -> None:
    night(learners)
    night({**learners, "s-1": "u-2"})

    with pytest.raises(ImportFileError) as refused:
        night(learners)
    assert "the same content was imported as night1.csv" in str(refused.value.faults[0])


def test_a_learner_that_a_person_relinked_is_left_alone_until_the_file_says_something_new(
    night: Nights, learners: Mapping
) -> None:
    by_hand, new = make_user("by-hand"), make_user("new")
    night(learners)
    ProgramEnrollment.objects.filter(external_user_key="s-1").update(user=by_hand)

    assert night(learners) == []
    assert user_of("s-1") == "by-hand"
    assert night({**learners, "s-1": new.username}) == ["s-1"]
    assert user_of("s-1") == "new"


def test_a_row_that_vanished_unlinks_nobody_and_is_new_when_it_comes_back(night: Nights, learners: Mapping) -> None:
    night(learners)
    without = {key: name for key, name in learners.items() if key != "s-3"}

    assert night(without) == []
    assert user_of("s-3") == learners["s-3"]
    assert night(learners | {"s-none": "nobody"}) == ["s-3", "s-none"]


def test_the_case_of_a_key_says_nothing_new_but_that_of_a_username_does(night: Nights, learners: Mapping) -> None:
    night(learners)

    assert night({key.upper(): name for key, name in learners.items()}) == []
    assert night({key: name.upper() for key, name in learners.items()}) == list(learners)


def test_a_dry_run_shows_the_difference_and_does_not_count(night: Nights, learners: Mapping) -> None:
    assert night(learners, dry_run=True) == list(learners)
    assert not ImportedRow.objects.exists()
    night(learners)

    assert night(learners | {"s-none": "nobody"}, dry_run=True) == ["s-none"]
    assert night(learners | {"s-none": "nobody"}) == ["s-none"]


def test_the_percentage_of_relinks_counts_the_rows_of_the_file(night: Nights, learners: Mapping) -> None:
    make_user("new")
    night(learners)

    job = night.submit({**learners, "s-1": "new"}, max_relinks="20%")  # 20% of 6: one.
    assert (job.state, job.total, job.options["max_relinks"]) == ("received", 1, 1)
    run(job)
    with pytest.raises(ImportFileError, match="fault"):
        night({**learners, "s-1": "u-1", "s-2": "new"}, max_relinks="20%")


def test_a_full_import_is_the_last_file_of_a_program_that_has_one(night: Nights, learners: Mapping) -> None:
    night(learners)
    by_hand = make_user("by-hand")
    ProgramEnrollment.objects.filter(external_user_key="s-1").update(user=by_hand)
    changed = {**learners, "s-2": "nobody"}

    assert night(changed, mode="full") == list(learners)
    assert user_of("s-1") == learners["s-1"]
    assert night({**changed, "s-3": "nobody"}) == ["s-2", "s-3"]  # The first of them failed.


def test_without_diff_mode_no_row_is_recorded(night: Nights, learners: Mapping, settings: "LazySettings") -> None:
    settings.LINKING_IMPORT_MODE = "full"
    job = night.submit(learners)

    assert "skipped" not in job.options
    assert not ProgramFile.objects.exists()
    assert not ImportedRow.objects.exists()
    run(job)
    assert night({**learners, "s-1": "nobody"}, "x.DIFF.csv") == list(learners)  # The name of the file says so.
    assert night({**learners, "s-2": "nobody"}, "x.diff.CSV") == ["s-1", "s-2"]
    settings.LINKING_IMPORT_MODE = "diff"
    assert night({**learners, "s-1": "u-2"}, "x.full.csv") == list(learners)


def test_programs_of_a_file_are_compared_each_with_its_own_last_file(tmp_path: Path, learners: Mapping) -> None:
    others = add_learners(2, OTHER_PROGRAM)

    def submitted(name: str, *mappings: Mapping) -> list[list[str]]:
        file = import_in_place(write_file(tmp_path / name, *mappings))
        found = [LinkingJob.objects.get(pk=job_id) for job_id in file.jobs]
        for job in found:
            run(job)
        return [keys_of(job) for job in sorted(found, key=lambda job: job.program_uuid != PROGRAM)]

    assert submitted("1.csv", learners, others) == [list(learners), list(others)]
    assert submitted("2.csv", {**learners, "s-1": "nobody"}) == [["s-1"]]
    assert submitted("3.csv", learners, others | {"s-9": "nobody"}) == [["s-1"], ["s-9"]]


def test_an_inbox_is_imported_in_diff_mode_and_the_report_says_what_was_skipped(
    folder: Path, learners: Mapping
) -> None:
    drop(folder, "a.csv", learners)
    run_import(folder)
    drop(folder, "b.csv", {**learners, "s-1": "nobody"})
    run_import(folder)
    drop(folder, "c.csv", {**learners, "s-1": "nobody", "s-2": "nobody"})
    drop(folder, "b2.csv", {**learners, "s-1": "nobody"})
    claim_files(folder)
    run_jobs()

    report = report_of(folder, "b.csv")
    assert [(row["external_user_key"], row["outcome"]) for row in report] == [("s-1", "no_user"), ("", "skipped")]
    assert report[-1]["message"] == "5 rows of the file are as in the file before and were skipped"
    states = dict(InboxFile.objects.values_list("name", "state"))
    assert states == {"a.csv": "done", "b.csv": "done", "b2.csv": "submitted", "c.csv": "submitted"}


def test_the_database_has_no_learner_of_a_file_but_the_ledger(night: Nights, learners: Mapping) -> None:
    night(learners)
    stored = [str(value) for row in ImportedRow.objects.values_list() for value in row]

    assert len(stored) == 6 * 3
    assert not [text for text in stored for name in (*learners, *learners.values()) if name in text]


def test_a_bucket_of_the_database_has_the_sum_of_its_rows(night: Nights) -> None:
    mapping = add_learners(60)
    night.submit(mapping)

    digests = [digests_of(PROGRAM, key, username)[1] for key, username in mapping.items()]
    assert min(digests) < 0 < max(digests)
    assert read_sums(PROGRAM) == sum_buckets(digests)
