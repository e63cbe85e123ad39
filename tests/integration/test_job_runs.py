"""Slices that run once or twice, and the end of a job: outcomes, counts, the error dictionary."""

from collections import Counter

import pytest
from pytest_django.fixtures import Settings

from linking.models import CourseEnrollment
from tests.support.ids import ALGEBRA, OTHER_CURRICULUM, PROGRAM
from tests.support.jobs import finish, link, outcomes, run, run_slices, submit
from tests.support.populations import add_learners, add_learners_of_every_kind
from tests.support.rows import add_course_run, enroll, make_course, make_user
from tests.support.signals import announced
from tests.support.stored import user_of
from tests.support.threads import at_once
from tests.support.worlds import snapshot
from worker import jobs
from worker.jobs.slices import run_slice
from worker.models import JobSlice, LearnerOutcome, LinkingJob


def no_enrollment(key: str) -> str:
    return f"No program enrollment found for program uuid={PROGRAM} and external student key={key}"


def test_a_run_writes_outcome_message_and_time_of_each_learner() -> None:
    ada = make_user("ada")
    enroll("s-1")
    enroll("s-2", ada)
    job = submit({"s-1": "bob", "s-2": "ada", "s-3": "ada", "S-1": "ada"}, learners_per_subtask=4)

    ran = run_slice(job.pk, 0)

    linked = "Program enrollment with external_student_key=s-2 is already linked to target account username=ada"
    twice = "the mapping has this key in another case, too:"
    collision = LearnerOutcome.objects.get(job=job, position=3).message
    assert collision.startswith("IntegrityError: ")
    rows = LearnerOutcome.objects.filter(job=job).order_by("position")
    assert list(rows.values_list("outcome", "message", "warnings", "before", "attempts")) == [
        (
            "no_user",
            "No user found with username bob",
            [f"{twice} S-1 for account username=ada, after this one"],
            None,
            1,
        ),
        ("already_linked", linked, [], None, 1),
        ("no_enrollment", no_enrollment("s-3"), [], None, 1),
        ("conflict", collision, [f"{twice} s-1 for account username=bob, before this one"], None, 1),
    ]
    assert all(row.finished is not None for row in rows)
    assert ran.processed == 4
    assert ran.counts == {"no_user": 1, "already_linked": 1, "no_enrollment": 1, "conflict": 1}


def test_the_ledger_keeps_the_former_values_of_a_linked_learner() -> None:
    make_course(ALGEBRA)
    ada = make_user("ada")
    place = enroll("s-1")
    course_run = add_course_run(place, ALGEBRA, roles=("staff", "wizard"))

    assert link({"s-1": "ada"}) == {}

    row, enrolled = LearnerOutcome.objects.get(), CourseEnrollment.objects.get()
    assert row.outcome == "linked"
    assert row.warnings == [f"role wizard on {ALGEBRA} not granted: no such role"]
    assert row.before is not None
    assert row.before["user"] == [None, ada.pk]
    assert row.before["course_enrollments"] == [[enrolled.pk, None, [True, "masters"]]]
    assert [course[:3] for course in row.before["courses"]] == [[course_run.pk, None, enrolled.pk]]
    assert [granted[:2] for granted in row.before["roles"]] == [[course_run.pk, "staff"]]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("dry_run", [False, True])
def test_running_a_slice_again_links_nobody_and_sends_no_signal(*, dry_run: bool) -> None:
    job = submit(add_learners_of_every_kind(14), learners_per_subtask=14, dry_run=dry_run)
    first = run_slice(job.pk, 0)
    rows, settled = snapshot(), list(LearnerOutcome.objects.values())
    with announced() as signals:
        again = run_slice(job.pk, 0)

    assert (first.processed, again.processed) == (14, 0)
    assert again.counts == first.counts
    assert snapshot() == rows
    assert list(LearnerOutcome.objects.values()) == settled
    assert signals == []


@pytest.mark.django_db(transaction=True)
def test_running_a_slice_twice_at_once_settles_each_learner_once() -> None:
    job = submit(add_learners(400), learners_per_subtask=400)

    runs = at_once(8, lambda _: run_slice(job.pk, 0))

    assert sorted(ran.processed for ran in runs) == [0] * 7 + [400]
    assert all(ran.counts == {"linked": 400} for ran in runs)
    assert set(LearnerOutcome.objects.values_list("outcome", "attempts")) == {("linked", 1)}


def test_a_slice_of_learners_that_interfere_is_worked_on_in_chunks_in_mapping_order() -> None:
    make_user("ada")
    place, other = enroll("s-1"), enroll("s-2", curriculum_uuid=OTHER_CURRICULUM)
    mapping = {f"k-{n}": "ada" for n in range(2_500)}
    mapping = {"s-1": "ada"} | mapping | {"S-1": "ada", "s-2": "ada"}
    job = submit(mapping, learners_per_subtask=100)
    assert list(job.slices.values_list("number", "total")) == [(0, 2_503)]

    ran = run_slice(job.pk, 0)

    assert ran.processed == 2_503
    assert ran.counts == {"linked": 2, "no_enrollment": 2_500, "already_linked": 1}
    assert [outcomes(job)[key] for key in ("s-1", "k-0", "S-1", "s-2")] == [
        *("linked", "no_enrollment", "already_linked", "linked")
    ]
    assert (user_of(place), user_of(other)) == ("ada", "ada")
    moments = LearnerOutcome.objects.order_by("position").values_list("finished", flat=True)
    assert list(Counter(moments).values()) == [1_000, 1_000, 503]


def test_a_job_ends_when_its_last_slice_has() -> None:
    job = submit({"s-1": "ada", "s-2": "ada"})
    notified: list[jobs.Errors] = []

    assert finish(job, notified) is None
    jobs.start(job)
    run_slice(job.pk, 1)
    assert finish(job, notified) is None
    job.refresh_from_db()
    assert (job.state, job.finished, job.notified, notified) == ("running", None, None, [])
    run_slice(job.pk, 0)

    errors = dict.fromkeys(("s-1", "s-2"), "No user found with username ada")
    assert finish(job, notified) == errors
    job.refresh_from_db()
    assert (job.state, job.counts, job.errors_cut, notified) == ("done", {"no_user": 2}, False, [errors])
    moments = [moment for moment in (job.started, job.finished, job.notified) if moment is not None]
    assert moments == sorted(moments)
    assert len(moments) == 3


@pytest.mark.django_db(transaction=True)
def test_the_result_is_sent_once_after_failures_and_however_often_a_job_is_ended_at_once() -> None:
    job = submit({"s-1": "ada"})
    run_slices(job)
    sent: list[jobs.Errors] = []

    def fail(_job: LinkingJob, _errors: jobs.Errors) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        jobs.finish(job.pk, fail)
    job.refresh_from_db()
    assert (job.state, job.notified) == ("running", None)

    ends = [*at_once(8, lambda _: finish(job, sent)), finish(job, sent)]

    assert ends == [{"s-1": "No user found with username ada"}] * 9
    assert len(sent) == 1


def test_the_error_dictionary_is_in_mapping_order_however_the_slices_ran() -> None:
    users = {"s-4": "ada", "S-1": "bob", "s-3": "ada", "s-0": "ada", "s-1": "bob", "s-2": "ada"}
    make_user("bob")
    job = submit(users, learners_per_subtask=2)

    for number in reversed(jobs.open_slices(job)):
        run_slice(job.pk, number)

    errors = finish(job)
    assert errors is not None
    assert list(errors) == ["s-4", "S-1", "s-3", "s-0", "s-1", "s-2"]
    assert errors["S-1"] == no_enrollment("S-1")


def test_counts_and_errors_hold_every_outcome() -> None:
    job = submit(add_learners_of_every_kind(70), learners_per_subtask=9)

    errors = run(job)

    others = ("relinked", "already_linked", "no_user", "no_enrollment", "course_error")
    assert job.counts == {"linked": 20} | dict.fromkeys(others, 10) == dict(Counter(outcomes(job).values()))
    assert len(errors) == 40
    beginnings = Counter(message.split(" ")[0] for message in errors.values())
    assert beginnings == {"No": 20, "Program": 10, "NonExistentCourseError": 10}


def test_progress_counts_the_learners_that_are_done_and_that_failed() -> None:
    make_user("ada")
    enroll("s-1")
    job = submit({"s-1": "ada", "s-2": "bob", "s-3": "ada"})

    def progress() -> tuple[str, int, int, int, bool]:
        job.refresh_from_db()
        found = jobs.progress_of(job)
        return job.state, found.total, found.done, found.failed, job.is_final

    assert progress() == ("received", 3, 0, 0, False)
    jobs.start(job)
    run_slice(job.pk, 0)
    assert progress() == ("running", 3, 2, 1, False)
    run_slices(job)
    assert progress() == ("running", 3, 3, 2, False)
    finish(job)
    assert progress() == ("done", 3, 3, 2, True)


def test_an_empty_job_ends_at_once() -> None:
    job = submit({})

    assert run(job) == {}
    assert (job.state, job.total, job.counts) == ("done", 0, {})


@pytest.mark.parametrize(("most", "kept", "cut"), [(0, 0, True), (2, 2, True), (3, 3, False), (4, 3, False)])
def test_the_result_is_cut_in_mapping_order_and_marked(settings: Settings, most: int, kept: int, cut: bool) -> None:
    settings.LINKING_MAX_RESULT_ERRORS = most
    make_user("ada")
    place = enroll("s-2")
    job = submit({"s-3": "bob", "s-1": "bob", "s-2": "ada", "s-0": "bob"})

    errors = run(job)

    assert list(errors) == ["s-3", "s-1", "s-0"][:kept]
    assert job.errors_cut is cut
    assert job.counts == {"linked": 1, "no_user": 3}
    assert LearnerOutcome.objects.exclude(message="").count() == 3
    assert user_of(place) == "ada"


def test_jobs_do_not_see_each_others_learners() -> None:
    make_user("ada")
    place = enroll("s-1")
    one, other = submit({"s-1": "ada", "s-2": "bob"}), submit({"s-1": "ada", "s-3": "bob"})

    assert run(one) == {"s-2": "No user found with username bob"}
    assert user_of(place) == "ada"
    assert set(outcomes(other).values()) == {"pending"}
    assert run(other).keys() == {"s-1", "s-3"}
    assert LinkingJob.objects.filter(state="done").count() == 2
    assert JobSlice.objects.filter(finished=None).count() == 0


def test_a_slice_whose_learners_are_not_in_the_ledger_ends_at_once() -> None:
    job = submit({"s-1": "ada"})
    job.learners.all().delete()

    ran = run_slice(job.pk, 0)

    assert (ran.finished, ran.processed) == (True, 0)
    assert finish(job) == {}
