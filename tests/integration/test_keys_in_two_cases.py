"""A mapping with keys that differ only in case: the later entry wins, and each of them has a warning."""

import logging

import pytest

from linking import api
from linking.models import ProgramEnrollment
from tests.support.ids import PROGRAM
from tests.support.jobs import outcomes, run, run_job, submit
from tests.support.rows import enroll, make_user
from tests.support.stored import user_of
from worker import jobs
from worker.jobs import ledger
from worker.jobs.derived import preview_request, retry_request
from worker.models import LearnerOutcome, LinkingJob

MAPPING = {"KEY-1": "ada", "s-2": "bob", "key-1": "eve", "Key-1": "joe"}


@pytest.fixture
def enrollment() -> ProgramEnrollment:
    for name in ("ada", "bob", "eve", "joe"):
        make_user(name)
    enroll("s-2")
    return enroll("key-1")


def entry(key: str, place: str) -> str:
    account = f"account username={MAPPING[key]}"
    return f"the mapping has this key in another case, too: {key} for {account}, {place} this one"


WARNINGS = {
    "KEY-1": [entry("key-1", "after")],
    "s-2": [],
    "key-1": [entry("KEY-1", "before"), entry("Key-1", "after")],
    "Key-1": [entry("key-1", "before")],
}


def warnings(job: LinkingJob) -> dict[str, list[str]]:
    rows = LearnerOutcome.objects.filter(job=job).order_by("position")
    return dict(rows.values_list("external_user_key", "warnings"))


@pytest.mark.parametrize("chunk", [1, 1000])
def test_the_later_wins_and_each_has_a_warning(
    monkeypatch: pytest.MonkeyPatch, enrollment: ProgramEnrollment, chunk: int
) -> None:
    monkeypatch.setattr(ledger, "CHUNK", chunk)  # Learners that one transaction links.

    dry, job = (run_job(MAPPING, dry_run=dry_run) for dry_run in (True, False))

    assert outcomes(job) == {"KEY-1": "linked", "s-2": "linked", "key-1": "relinked", "Key-1": "relinked"}
    assert user_of(enrollment) == "joe"
    assert warnings(job) == warnings(dry) == WARNINGS


GEORGIAN = "\N{GEORGIAN LETTER AN}\N{GEORGIAN LETTER LABIAL SIGN}-1"
"""A key whose capitals are younger (Unicode 11) than what MySQL knows of letters (Unicode 9)."""


def test_entries_and_jobs_whose_keys_differ_in_georgian_capitals_keep_their_order(
    enrollment: ProgramEnrollment,
) -> None:
    georgian = enroll(GEORGIAN)
    mapping = {GEORGIAN.upper(): "ada", "s-2": "bob", GEORGIAN: "eve"}

    job = submit(mapping, learners_per_subtask=1)
    second = submit({GEORGIAN.upper(): "joe"})

    slices = dict(LearnerOutcome.objects.filter(job=job).values_list("external_user_key", "slice"))
    assert slices[GEORGIAN] == slices[GEORGIAN.upper()] != slices["s-2"]
    assert second.waits_for
    run(job)
    assert outcomes(job) == {GEORGIAN.upper(): "linked", "s-2": "linked", GEORGIAN: "relinked"}
    assert user_of(georgian) == "eve"
    assert GEORGIAN in warnings(job)[GEORGIAN.upper()][0]


def test_a_learner_that_fails_alone_and_one_that_is_cancelled_keep_the_warning(enrollment: ProgramEnrollment) -> None:
    holder = ProgramEnrollment.objects.get(external_user_key="s-2")
    make_user("holder")
    taken = {**MAPPING, "s-2": "holder"}
    run_job({"s-2": "eve"})

    job = run_job({key: name for key, name in taken.items() if key != "s-2"})

    assert user_of(holder) == "eve"
    assert outcomes(job) == {"KEY-1": "linked", "key-1": "conflict", "Key-1": "relinked"}
    assert warnings(job) == {key: texts for key, texts in WARNINGS.items() if key != "s-2"}
    cancelled = submit(MAPPING)
    jobs.cancel(cancelled.pk)
    assert warnings(cancelled) == WARNINGS


def test_jobs_made_from_a_job_warn_by_their_own_learners(enrollment: ProgramEnrollment) -> None:
    job = run_job({**MAPPING, "KEY-1": "nobody"})

    preview = jobs.submit(PROGRAM, preview_request(job.pk))
    retry = jobs.submit(enrollment.curriculum_uuid, retry_request(job.pk))
    run(retry)

    assert [len(texts) for texts in warnings(preview).values()] == [1, 0, 2, 1]
    assert warnings(retry) == {"KEY-1": []}


def test_the_api_logs_the_warnings(enrollment: ProgramEnrollment, log: pytest.LogCaptureFixture) -> None:
    assert api.link_program_enrollments(PROGRAM, MAPPING) == {}

    assert user_of(enrollment) == "joe"
    logged = [record.getMessage() for record in log.records if record.levelno == logging.WARNING]
    assert sorted(logged) == sorted(text for texts in WARNINGS.values() for text in texts)
