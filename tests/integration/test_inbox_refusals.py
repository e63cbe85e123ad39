"""Files that the inbox refuses: content that was imported before, and more relinks than are allowed."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.conf import LazySettings
from django.utils import timezone

from linking.models import ProgramEnrollment
from tests.support.ids import OTHER_PROGRAM, PROGRAM
from tests.support.inbox import claim_files, drop, errors_of, report_of, run_import, run_jobs
from tests.support.inbox_files import files_in, imported, rejected
from tests.support.populations import add_learners
from tests.support.rows import enroll, make_user
from worker.models import InboxFile, LearnerOutcome, LinkingJob


def test_the_same_content_again_is_recognised_and_not_run(folder: Path) -> None:
    mapping = add_learners(2)
    drop(folder, "x.csv", mapping)
    drop(folder, "y.csv", mapping)
    first, second = run_import(folder)
    drop(folder, "x.csv", mapping)

    claim_files(folder)

    assert LinkingJob.objects.count() == 1
    assert second.state == "rejected"
    assert files_in(folder) == imported("x.csv") | rejected("x.csv", "y.csv")
    same = f"the same content was imported as x.csv on {first.created:%Y-%m-%d}"
    for text in (errors_of(folder, "x.csv"), errors_of(folder, "y.csv")):
        assert all(part in text for part in (same, f"(job {first.jobs[0]})", "manage.py import_links --force"))


def test_content_is_run_again_with_force_and_after_retention(folder: Path, settings: LazySettings) -> None:
    settings.LINKING_RETENTION_DAYS = 7
    mapping = add_learners(2)
    drop(folder, "x.csv", mapping)
    run_import(folder)
    drop(folder, "x.csv", mapping)

    run_import(folder, force=True)

    counts = LinkingJob.objects.values_list("counts", flat=True)
    assert sorted(counts, key=str) == [{"already_linked": 2}, {"linked": 2}]
    assert files_in(folder) == imported("x.csv", "x.2.csv")
    InboxFile.objects.update(created=timezone.now() - timedelta(days=7, minutes=1))
    drop(folder, "x.csv", mapping)
    assert [file.state for file in claim_files(folder)] == ["submitted"]


def test_a_file_rejected_twice_is_logged_without_learners(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("x.csv", "y.csv"):
        drop(folder, name, {"zq7-key": "zq7-name", "zq7-other": ""})
    drop(folder, "z.csv", {"zq7-key": "zq7-name"})

    *twice, imported_file = run_import(folder)

    assert [file.message for file in twice] == ["1 fault, the first in line 3"] * 2
    assert imported_file.state == "submitted"
    assert "file 'x.csv' is rejected: 1 fault, the first in line 3" in caplog.text
    assert "zq7" not in caplog.text


def relinking(count: int, program: UUID = PROGRAM) -> dict[str, str]:
    """Write learners whose enrollments are linked to others; return the mapping that relinks them."""
    for n in range(count):
        make_user(f"new-{program}-{n}")
        enroll(f"r-{n}", make_user(f"old-{program}-{n}"), program_uuid=program)
    return {f"r-{n}": f"new-{program}-{n}" for n in range(count)}


def test_a_file_that_would_relink_too_many_is_rejected_until_the_limit_is_raised(
    folder: Path, settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="worker.logs")
    mapping = add_learners(18) | relinking(2)
    drop(folder, "x.csv", mapping)

    (file,) = claim_files(folder)

    job = LinkingJob.objects.get()
    assert (file.state, job.state) == ("rejected", "refused")
    text = f"program {PROGRAM}: 2 of 20 program enrollments would change hands, max_relinks=5% allows 1"
    assert text in errors_of(folder, "x.csv")
    run_jobs()
    assert not LearnerOutcome.objects.exclude(outcome="pending").exists()
    (record,) = [one.__dict__ for one in caplog.records if one.name == "worker.logs"]
    assert (record["job"], record["event"], record["state"]) == (str(job.pk), "job ended", "refused")
    settings.LINKING_IMPORT_MAX_RELINKS = 2
    drop(folder, "x.csv", mapping)
    assert [file.state for file in claim_files(folder)] == ["submitted"]


def test_the_guard_works_program_by_program_and_the_report_contains_the_refused_learners(folder: Path) -> None:
    ours, theirs = add_learners(2), relinking(2, OTHER_PROGRAM)
    drop(folder, "x.csv", ours, theirs)

    (file,) = run_import(folder)

    assert str(OTHER_PROGRAM) in file.message
    assert [(row["program_uuid"], row["outcome"]) for row in report_of(folder, "x.csv")] == [
        *[(str(OTHER_PROGRAM), "refused")] * 2,
        *[(str(PROGRAM), "linked")] * 2,
    ]
    assert not ProgramEnrollment.objects.filter(user__username__startswith="new-").exists()
