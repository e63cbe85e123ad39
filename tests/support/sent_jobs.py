"""Jobs that a service sent, and their state after faults."""

from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django_celery_results.models import ChordCounter  # type: ignore[attr-defined] # not in celery-types

from linking.models import ProgramEnrollment
from tests.support.populations import add_learners
from tests.support.service import FAILURES, Service, result_of
from tests.support.waiting import wait_until
from worker.models import LearnerOutcome, LinkingJob, RouteMarker

RECOVERY = "linking.resume_stalled_jobs"


@dataclass(frozen=True, kw_only=True)
class SentJob:
    """A job that a service sent: its mapping, and the error dictionary that it must end with."""

    service: Service
    task_id: str
    mapping: dict[str, str]
    errors: dict[str, str]

    def assert_complete(self) -> None:
        """Assert that the job ended as without any fault, and that its caller received the result once."""
        assert result_of(self.task_id) == self.errors
        wait_until(lambda: self.errors in self.service.answers(), "the callback is called")
        assert self.service.answers().count(self.errors) == 1
        assert self.service.broker.calls(FAILURES) == []
        job = LinkingJob.objects.get(pk=self.task_id)
        assert (job.state, job.counts) == ("done", {"linked": len(self.mapping) - 1, "no_user": 1})
        assert LearnerOutcome.objects.filter(job=job).count() == len(self.mapping)
        enrollments = ProgramEnrollment.objects.filter(external_user_key__in=self.mapping)
        linked = dict(enrollments.values_list("external_user_key", "user__username"))
        assert linked == {key: name for key, name in self.mapping.items() if key not in self.errors}
        counters = ChordCounter.objects.filter(group_id__startswith=str(job.pk))
        wait_until(lambda: not counters.exists(), "the chord's counter is gone")


def send_job(service: Service, learners: int = 6, **options: Any) -> SentJob:
    """Write waiting learners; send a job for them and for one without user."""
    mapping = add_learners(learners)
    missing = f"missing-{next(iter(mapping))}"
    mapping |= {missing: missing}
    errors = {missing: f"No user found with username {missing}"}
    return SentJob(service=service, task_id=service.link(mapping, **options), mapping=mapping, errors=errors)


def recover(service: Service) -> None:
    """Send what is stalled again, as beat does by two runs: the first sends markers, which the workers receive."""
    began = timezone.now()
    service.send(RECOVERY)
    wait_until(RouteMarker.objects.filter(sent__gt=began).exists, "a marker is received")
    service.broker.wait_until_quiet()
    service.send(RECOVERY)


def wait_until_dispatched() -> None:
    """Wait until a job has been dispatched."""
    wait_until(LinkingJob.objects.exclude(dispatched=None).exists, "the job is dispatched")


def wait_until_finished(job_id: str) -> LinkingJob:
    """Wait until a job has ended and its result was sent; return it."""
    wait_until(LinkingJob.objects.filter(pk=job_id).exclude(notified=None).exists, f"job {job_id} ends")
    return LinkingJob.objects.get(pk=job_id)
