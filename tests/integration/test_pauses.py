"""Pauses: no slice of a paused job begins, recovery leaves it alone, and it ends as an undisturbed job would."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from linking.models import ProgramEnrollment
from tests.support.ids import PROGRAM
from tests.support.jobs import finish, order, run_job, submit
from tests.support.populations import add_learners
from worker import jobs
from worker.exceptions import JobError
from worker.jobs.pauses import forget_pauses_of_ended_jobs, held_jobs, parse_pause_request
from worker.jobs.recovery import claim_stalled_jobs
from worker.jobs.routing import ROUTES, note_marker
from worker.jobs.slices import run_slice
from worker.models import JobSlice, LinkingJob, Pause
from worker.models.pauses import EVERYTHING

Kind = Pause.Kind


def pause_what(kind: Pause.Kind, job: LinkingJob) -> tuple[Pause.Kind, UUID]:
    return kind, {Kind.EVERYTHING: EVERYTHING, Kind.PROGRAM: job.program_uuid, Kind.JOB: job.pk}[kind]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_slice_of_a_paused_job_is_not_begun_and_counts_no_attempt(kind: Pause.Kind, dry_run: bool) -> None:
    job = submit(add_learners(4), learners_per_subtask=2, dry_run=dry_run)
    jobs.start(job)
    run_slice(job.pk, 0)
    jobs.pause(*pause_what(kind, job), paused_by="ada")

    for _ in range(5):
        run = run_slice(job.pk, 1)
        assert (run.is_paused, run.finished, run.processed) == (True, False, 0)

    waiting = JobSlice.objects.get(job=job, number=1)
    assert (waiting.attempts, waiting.started, waiting.touched, waiting.counts) == (0, None, None, {})
    assert finish(job) is None
    jobs.resume(*pause_what(kind, job), resumed_by="ada")
    assert run_slice(job.pk, 1).finished
    assert finish(job) == {}
    job.refresh_from_db()
    assert job.counts == {"linked": 4}
    assert ProgramEnrollment.objects.exclude(user=None).count() == (0 if dry_run else 4)


def test_jobs_that_are_not_paused_go_on() -> None:
    other_program = uuid4()
    mine, *others = (
        submit(add_learners(1)),
        submit(add_learners(1)),
        submit(add_learners(1, other_program), other_program),
    )
    jobs.pause(Kind.JOB, mine.pk, paused_by="ada")
    jobs.pause(Kind.PROGRAM, uuid4(), paused_by="ada")

    assert [run_slice(job.pk, 0).finished for job in others] == [True, True]
    assert run_slice(mine.pk, 0).is_paused

    jobs.pause(Kind.PROGRAM, PROGRAM, paused_by="ada")
    assert run_slice(submit(add_learners(1)).pk, 0).is_paused


def test_a_job_with_the_id_of_a_program_is_paused_alone() -> None:
    """A caller chooses the id."""
    mapping = add_learners(2)
    (first, second) = ({key: name} for key, name in mapping.items())
    odd = jobs.submit(PROGRAM, order(first))
    other = submit(second)
    jobs.pause(Kind.JOB, odd.pk, paused_by="ada")

    assert run_slice(odd.pk, 0).is_paused
    assert run_slice(other.pk, 0).finished


def test_an_undo_is_paused_too() -> None:
    job = run_job(add_learners(2))
    undoing = jobs.submit_undo(uuid4(), job.pk)
    jobs.pause(Kind.PROGRAM, PROGRAM, paused_by="ada")

    assert run_slice(undoing.pk, 0).is_paused
    jobs.resume(Kind.PROGRAM, PROGRAM, resumed_by="ada")
    assert not run_slice(undoing.pk, 0).is_paused


def test_recovery_leaves_paused_jobs_alone_until_they_are_resumed() -> None:
    hour_ago = timezone.now() - timedelta(hours=1)
    job = submit(add_learners(3))
    jobs.start(job)
    LinkingJob.objects.filter(pk=job.pk).update(created=hour_ago, dispatched=hour_ago)
    for route in ROUTES:
        note_marker(route.name, timezone.now())
    jobs.pause(Kind.EVERYTHING, paused_by="ada")

    assert claim_stalled_jobs() == ([], None)
    jobs.resume(Kind.EVERYTHING, resumed_by="ada")
    assert [found.pk for found in claim_stalled_jobs()[0]] == [job.pk]


def test_recovery_sends_the_end_of_a_paused_job_that_has_no_open_slice() -> None:
    hour_ago = timezone.now() - timedelta(hours=1)
    job = submit(add_learners(1))
    jobs.start(job)
    run_slice(job.pk, 0)
    JobSlice.objects.update(touched=hour_ago)
    LinkingJob.objects.filter(pk=job.pk).update(created=hour_ago, dispatched=hour_ago)
    for route in ROUTES:
        note_marker(route.name, timezone.now())
    jobs.pause(Kind.EVERYTHING, paused_by="ada")

    assert [found.pk for found in claim_stalled_jobs()[0]] == [job.pk]


def test_a_paused_job_keeps_its_place_before_later_jobs_over_its_learners() -> None:
    (key, name), (_, other) = add_learners(2).items()
    first = submit({key: name})
    jobs.pause(Kind.JOB, first.pk, paused_by="ada")
    second = submit({key: other})

    assert jobs.must_wait(second)
    jobs.resume(Kind.JOB, first.pk, resumed_by="ada")
    run_slice(first.pk, 0)
    finish(first)
    assert not jobs.must_wait(second)


def test_a_paused_job_can_be_cancelled_and_its_pause_goes_with_it() -> None:
    job = submit(add_learners(3))
    jobs.start(job)
    jobs.pause(Kind.JOB, job.pk, paused_by="ada")
    jobs.pause(Kind.PROGRAM, PROGRAM, paused_by="ada")

    jobs.cancel(job.pk)

    assert set(finish(job) or {}) == set(job.learners.values_list("external_user_key", flat=True))
    forget_pauses_of_ended_jobs()
    assert list(Pause.objects.values_list("kind", flat=True)) == [Kind.PROGRAM]


def test_a_resumed_pause_releases_the_jobs_that_no_other_pause_holds_the_oldest_first() -> None:
    program = uuid4()
    held = [submit(add_learners(1)) for _ in range(3)]
    submit(add_learners(1, program), program)
    run_job(add_learners(1))
    jobs.pause(Kind.JOB, held[1].pk, paused_by="ada")

    found, after = held_jobs(Kind.PROGRAM, PROGRAM)
    assert [job.pk for job in found] == [held[0].pk, held[2].pk]
    assert after is None
    assert [job.pk for job in held_jobs(Kind.PROGRAM, PROGRAM, held[0].cursor)[0]] == [held[2].pk]
    assert held_jobs(Kind.JOB, held[1].pk)[0] == []
    assert len(held_jobs(Kind.EVERYTHING, EVERYTHING)[0]) == 3


def test_a_second_pause_changes_nothing_and_a_job_that_ended_cannot_be_paused() -> None:
    first = jobs.pause(Kind.EVERYTHING, paused_by="ada", reason="LMS upgrade")
    again = jobs.pause(Kind.EVERYTHING, paused_by="bob")

    assert (again.pk, again.paused_by, again.reason) == (first.pk, "ada", "LMS upgrade")
    jobs.resume(Kind.EVERYTHING, resumed_by="bob")
    with pytest.raises(JobError, match="everything is not paused"):
        jobs.resume(Kind.EVERYTHING, resumed_by="bob")
    with pytest.raises(JobError, match="is done already"):
        jobs.pause(Kind.JOB, run_job(add_learners(1)).pk, paused_by="ada")
    with pytest.raises(JobError, match="there is no job"):
        jobs.pause(Kind.JOB, uuid4(), paused_by="ada")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, "exactly one of"),
        ({"everything": False}, "exactly one of"),
        ({"everything": 1}, "exactly one of"),
        ({"everything": True, "job_id": str(PROGRAM)}, "exactly one of"),
        ({"job_id": str(PROGRAM), "program_uuid": str(PROGRAM)}, "exactly one of"),
        ({"job_id": 5}, "job_id is not a UUID"),
        ({"program_uuid": "x"}, "program_uuid is not a UUID"),
        ({"everything": True, "reason": 5}, "reason is no text"),
        ({"everything": True, "by": "x" * 256}, "by is no text"),
        ({"all": True}, "unknown argument 'all'"),
    ],
)
def test_arguments_of_the_tasks_are_checked(arguments: dict[str, object], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        parse_pause_request((), arguments, service="sis")


def test_arguments_of_the_tasks_name_one_target() -> None:
    request = parse_pause_request((), {"program_uuid": str(PROGRAM), "reason": "LMS upgrade"}, service="sis")

    assert (request.kind, request.target, request.by, request.reason) == (Kind.PROGRAM, PROGRAM, "sis", "LMS upgrade")
