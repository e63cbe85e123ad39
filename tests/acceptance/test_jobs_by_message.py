"""Jobs by message, from the caller's task to its result."""

from collections import Counter
from collections.abc import Callable
from uuid import UUID

import pytest
from django_celery_results.models import TaskResult

from devservers import WorkerProcess
from linking.models import ProgramEnrollment
from tests.support.broker import arguments
from tests.support.ids import PROGRAM
from tests.support.jobs import outcomes
from tests.support.populations import add_learners, add_learners_of_every_kind
from tests.support.rows import enroll, make_user
from tests.support.service import LINK, Service, ended, open_chords, result_of
from tests.support.stored import user_of
from tests.support.waiting import wait_until
from worker.models import JobSlice, LearnerOutcome, LinkingJob

LINK_LEARNERS = "linking.link_learners"


def test_the_errors_are_the_result_of_the_callers_task(service: Service, celery_worker_process: WorkerProcess) -> None:
    make_user("ada")
    enroll("s-1")
    enroll("s-4", make_user("bob"))

    task_id = service.link({"S-1": "ada", "s-2": "eve", "s-3": "ada", "s-4": "bob"})

    errors = {
        "s-2": "No user found with username eve",
        "s-3": f"No program enrollment found for program uuid={PROGRAM} and external student key=s-3",
        "s-4": "Program enrollment with external_student_key=s-4 is already linked to target account username=bob",
    }
    assert result_of(task_id) == errors
    assert list(result_of(task_id)) == list(errors)
    row = ended(task_id)
    assert (row.status, row.content_type, row.traceback) == ("SUCCESS", "application/json", None)
    assert {*TaskResult.objects.values_list("worker", flat=True)} == {celery_worker_process.hostname}
    assert ProgramEnrollment.objects.get(external_user_key="s-1").user is not None
    job = LinkingJob.objects.get()
    assert (str(job.pk), job.state, job.total) == (task_id, "done", 4)
    assert job.counts == {"linked": 1, "already_linked": 1, "no_user": 1, "no_enrollment": 1}
    assert None not in {job.started, job.dispatched, job.finished, job.notified}
    service.broker.wait_until_quiet()
    assert service.answers() == [errors]


def test_arguments_by_name_and_another_spelling_of_the_task_id_are_accepted(service: Service) -> None:
    task_id = "0AF1C0DE5B7C4C6A9D0E1F2A3B4C5D6E"
    named = {"program_uuid": PROGRAM.hex, "external_keys_to_usernames": add_learners(1)}

    service.send(LINK, task_id=task_id, kwargs=named)

    assert result_of(task_id) == {}
    assert ProgramEnrollment.objects.get().user is not None


@pytest.mark.parametrize(("learners", "per_subtask", "count"), [(16, None, 16), (1_000, None, 4), (70, 1, 70)])
def test_a_job_has_one_subtask_a_slice(service: Service, learners: int, per_subtask: int | None, count: int) -> None:
    task_id = service.link(add_learners(learners), learners_per_subtask=per_subtask)

    assert result_of(task_id) == {}
    assert ProgramEnrollment.objects.filter(user=None).count() == 0
    assert JobSlice.objects.filter(job=UUID(task_id)).count() == count
    assert not TaskResult.objects.filter(task_name=LINK_LEARNERS).exists(), "the ledger has what subtasks did"
    assert open_chords() == 0


def test_learners_that_interfere_share_a_subtask_in_mapping_order(service: Service) -> None:
    ada, _ = make_user("ada"), make_user("bob")
    enrollments = enroll("s-1", ada), enroll("s-2")

    task_id = service.link({"s-1": "bob", "s-2": "ada", "S-2": "bob"}, learners_per_subtask=1)

    assert result_of(task_id).keys() == {"S-2"}
    assert JobSlice.objects.filter(job=UUID(task_id)).count() == 1
    assert [user_of(enrollment) for enrollment in enrollments] == ["bob", "ada"]


def test_every_outcome_is_counted_in_the_job_and_in_the_slices(service: Service) -> None:
    task_id = service.link(add_learners_of_every_kind(140), learners_per_subtask=20)

    errors = result_of(task_id)

    job = LinkingJob.objects.get(pk=task_id)
    assert job.counts == dict(Counter(outcomes(job).values()))
    assert job.counts["linked"] == 40
    assert len(errors) == 80
    counts: Counter[str] = Counter()
    for part in job.slices.all():
        counts.update(part.counts)
    assert counts == job.counts


def test_a_dry_run_has_the_result_of_the_real_run_and_links_nobody(service: Service) -> None:
    mapping = add_learners_of_every_kind(70)

    dry = result_of(service.link(mapping, dry_run=True, learners_per_subtask=20))
    assert ProgramEnrollment.objects.filter(user__username__startswith="u-").count() == 10
    assert result_of(service.link(mapping, learners_per_subtask=20)) == dry
    assert ProgramEnrollment.objects.filter(user__username__startswith="u-").count() == 40


def test_a_small_job_does_not_wait_for_the_slices_of_a_large_one(
    isolated_service: Service, isolated_env: dict[str, str], start_worker: Callable[..., WorkerProcess]
) -> None:
    make_user("ada")
    enroll("small")
    large = isolated_service.link(add_learners(300), learners_per_subtask=1)
    start_worker(isolated_env, concurrency=1)
    wait_until(JobSlice.objects.exclude(finished=None).exists, "the large job runs")

    small = isolated_service.link({"small": "ada"})

    assert result_of(small) == {}
    assert not TaskResult.objects.filter(task_id=large, status="SUCCESS").exists()
    assert result_of(large) == {}
    ends = dict(LinkingJob.objects.order_by("finished").values_list("pk", "finished"))
    assert [str(job_id) for job_id in ends] == [small, large]


def test_the_next_worker_continues_the_job_of_a_stopped_one(
    isolated_service: Service, start_worker: Callable[..., WorkerProcess], isolated_env: dict[str, str]
) -> None:
    worker = start_worker(isolated_env)
    task_id = isolated_service.link(add_learners(120), learners_per_subtask=1)
    wait_until(lambda: LearnerOutcome.objects.filter(outcome="linked").count() >= 10, "some learners are linked")

    worker.stop()

    assert LearnerOutcome.objects.filter(outcome="pending").count() > 5
    assert LinkingJob.objects.get().state == "running"
    # It finished the running slices and returned the others. The acknowledgement of the last may be lost.
    unacknowledged = [arguments(message)[1] for message in isolated_service.broker.unacknowledged()]
    assert not JobSlice.objects.filter(number__in=unacknowledged, finished=None).exists()
    isolated_service.broker.drop_unacknowledged()
    start_worker(isolated_env)
    assert result_of(task_id) == {}
    isolated_service.broker.wait_until_quiet()
    assert isolated_service.answers() == [{}]
    assert set(LearnerOutcome.objects.values_list("outcome", "attempts")) == {("linked", 1)}
    assert ProgramEnrollment.objects.exclude(user=None).count() == 120
    assert LinkingJob.objects.get().counts == {"linked": 120}
    assert open_chords() == 0
