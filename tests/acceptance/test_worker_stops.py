"""A worker that stops during a job: the next worker ends the job, and every learner is linked once."""

from collections.abc import Callable

from devservers import WorkerProcess
from linking.models import ProgramEnrollment
from tests.support.populations import add_learners
from tests.support.service import Service, open_chords, result_of
from tests.support.waiting import wait_until
from worker.models import LearnerOutcome, LinkingJob

StartWorker = Callable[..., WorkerProcess]


def assert_linked_once(service: Service, task_id: str, learners: int) -> None:
    assert result_of(task_id) == {}
    service.broker.wait_until_quiet()
    assert service.answers() == [{}]
    assert set(LearnerOutcome.objects.values_list("outcome", "attempts")) == {("linked", 1)}
    assert ProgramEnrollment.objects.exclude(user=None).count() == learners
    assert LinkingJob.objects.get().counts == {"linked": learners}
    assert open_chords() == 0


def test_the_next_worker_continues_the_job_of_a_stopped_one(
    service_apart: Service, start_worker: StartWorker, apart: dict[str, str]
) -> None:
    worker = start_worker(apart)
    task_id = service_apart.link(add_learners(40), learners_per_subtask=1)
    wait_until(lambda: LearnerOutcome.objects.filter(outcome="linked").count() >= 10, "some learners are linked")

    worker.stop()

    assert LearnerOutcome.objects.filter(outcome="pending").count() > 5
    assert LinkingJob.objects.get().state == "running"
    assert service_apart.broker.unacknowledged() == []  # It has finished what it had begun, and given back the rest.
    start_worker(apart)
    assert_linked_once(service_apart, task_id, 40)
