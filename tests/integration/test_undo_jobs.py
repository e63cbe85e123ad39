"""An undo is a job: when it is refused, repeated, cancelled, and behind which jobs it waits."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from linking.models import ProgramEnrollment
from tests.support.jobs import linked, outcomes, run, run_job, run_slices, submit, undo
from tests.support.populations import add_learners, add_learners_of_every_kind
from tests.support.rows import enroll, make_user
from tests.support.statement_counts import more_of_history, more_of_the_ledger
from tests.support.stored import user_of
from tests.support.tables import every_row
from worker import jobs
from worker.exceptions import IdempotencyConflictError, JobError
from worker.jobs.queueing import released_by
from worker.jobs.slices import run_slice
from worker.models import LearnerOutcome, LinkingJob

pytestmark = pytest.mark.django_db(transaction=True)


def refusal(job: LinkingJob, *, dry_run: bool = False) -> str:
    """Return why a job cannot be undone; nothing must have been written."""
    before, known = every_row(), LinkingJob.objects.count()
    with pytest.raises(JobError) as refused:
        jobs.submit_undo(uuid4(), job.pk, dry_run=dry_run)
    assert every_row() == before
    assert LinkingJob.objects.count() == known
    return str(refused.value).removeprefix(f"job {job.pk} ")


def test_a_job_that_cannot_be_undone_is_refused_with_the_reason() -> None:
    mapping = add_learners(2)
    dry = run_job(mapping, dry_run=True)
    job = submit(mapping)

    assert refusal(job) == "is received and not at its end: wait for it, or cancel it."
    assert refusal(dry) == "was a dry run: it changed nothing."
    run(job)
    nobody = run_job({"s-99": "nobody"})
    nothing = "has nothing to undo: it linked nobody, or all that it linked were undone."
    assert refusal(nobody) == nothing
    open_undoing = jobs.submit_undo(uuid4(), job.pk)
    assert refusal(job) == f"is being undone by job {open_undoing.pk}: wait for it."
    run(open_undoing)
    assert refusal(job) == refusal(job, dry_run=True) == nothing
    assert refusal(open_undoing) == f"undid job {job.pk}: send the mapping again to link its learners again."
    missing = LinkingJob(pk=uuid4())
    assert refusal(missing).startswith(f"there is no job {missing.pk}: ")


def test_a_dry_run_of_an_undo_does_not_prevent_undo() -> None:
    job = linked(add_learners(2))
    rehearsed = jobs.submit_undo(uuid4(), job.pk, dry_run=True)

    assert undo(job).counts == {"undone": 2}
    assert run(rehearsed).keys() == {"s-0", "s-1"}
    assert rehearsed.counts == {"changed_since": 2}


def test_the_same_message_twice_is_one_undoing_and_another_request_under_its_id_an_error() -> None:
    job, other = linked(add_learners(1)), linked(add_learners(1))
    undo_id = uuid4()

    first = jobs.submit_undo(undo_id, job.pk)
    assert jobs.submit_undo(undo_id, job.pk) == first
    run(first)
    assert jobs.submit_undo(undo_id, job.pk) == first
    for job_id, dry_run in ((other.pk, False), (job.pk, True)):
        with pytest.raises(IdempotencyConflictError, match=f"^task id {undo_id} belongs to another job"):
            jobs.submit_undo(undo_id, job_id, dry_run=dry_run)


def test_a_second_undo_undoes_those_that_the_first_had_to_leave() -> None:
    job = linked(add_learners(3))
    enrollment = ProgramEnrollment.objects.get(external_user_key="s-1")
    user_id = enrollment.user_id
    ProgramEnrollment.objects.filter(pk=enrollment.pk).update(user=None)
    assert undo(job).counts == {"undone": 2, "changed_since": 1}
    ProgramEnrollment.objects.filter(pk=enrollment.pk).update(user_id=user_id)

    assert outcomes(undo(job)) == {"s-1": "undone"}
    assert user_of(enrollment) is None


def test_a_cancelled_job_is_undone_as_far_as_it_came_and_a_cancelled_undo_can_be_requested_again() -> None:
    job = submit(add_learners(4), learners_per_subtask=2)
    jobs.start(job)
    run_slice(job.pk, 0)
    jobs.cancel(job.pk)
    undoing = jobs.submit_undo(uuid4(), job.pk)
    assert outcomes(undoing) == {"s-0": "pending", "s-1": "pending"}

    jobs.cancel(undoing.pk)

    assert set(LearnerOutcome.objects.filter(job=undoing).values_list("outcome", "message")) == {
        ("cancelled", "cancelled before it was undone")
    }
    assert undo(job).counts == {"undone": 2}
    assert not ProgramEnrollment.objects.exclude(user=None).exists()


def test_an_undo_and_jobs_over_its_learners_or_their_former_users_run_one_after_the_other() -> None:
    mapping = add_learners(1)
    (key,) = mapping
    former = make_user("former")
    ProgramEnrollment.objects.filter(external_user_key=key).update(user=former)
    job = linked(mapping)
    enroll("other")

    undoing = jobs.submit_undo(uuid4(), job.pk)
    same_key, same_user = submit({key: "nobody"}), submit({"other": former.username})
    free = submit(add_learners(1))

    assert undoing.waits_for == free.waits_for == []
    assert same_key.waits_for == same_user.waits_for == [str(undoing.pk)]
    run(undoing)
    assert released_by(undoing, None) == [same_key], "the former user holds this key again: the other job is behind it"
    run(same_key)
    assert released_by(same_key, None) == [same_user]


def test_a_slice_of_an_undo_run_twice_undoes_each_learner_once() -> None:
    job = linked(add_learners(2), learners_per_subtask=2)
    undoing = jobs.submit_undo(uuid4(), job.pk)
    run_slices(undoing)
    rows = every_row()

    again = run_slice(undoing.pk, 0)

    assert (again.processed, again.counts) == (0, {"undone": 2})
    assert every_row() == rows


def test_an_undo_takes_as_many_statements_for_many_learners_as_for_few() -> None:
    frame = {"BEGIN", "BEGIN IMMEDIATE", "COMMIT"}

    def count(learners: int) -> tuple[int, int]:
        job = run_job(add_learners_of_every_kind(learners), learners_per_subtask=learners)
        with CaptureQueriesContext(connection) as submitted:
            undoing = jobs.submit_undo(uuid4(), job.pk)
        with CaptureQueriesContext(connection) as captured:
            assert run_slice(undoing.pk, 0).counts.keys() == {"undone"}
        run(undoing)
        return len(submitted), len([query for query in captured if query["sql"] not in frame])

    few = count(14)
    assert few == count(700)
    # 13 of the engine, and 7 of the ledger: which job is undone is one more than in linking.
    # Beside an LMS, the modes of course runs are read, and nothing is deleted from course enrollments.
    assert few[1] == 20 + more_of_the_ledger() + more_of_history()
