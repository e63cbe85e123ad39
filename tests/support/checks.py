"""A job that is going to be disturbed, and what must hold afterwards."""

from dataclasses import dataclass
from typing import Any

from django_celery_results.models import ChordCounter  # type: ignore[attr-defined] # not in celery-types

from linking.models import ProgramEnrollment
from tests.support.populations import add_learners
from tests.support.service import FAILURES, Service, result_of
from tests.support.waiting import wait_until
from worker.models import LearnerOutcome, LinkingJob


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A job that was asked for: its mapping, and the error dictionary that it must end with."""

    service: Service
    task_id: str
    mapping: dict[str, str]
    errors: dict[str, str]

    def assert_undisturbed(self) -> None:
        """Assert that the job came to what it would have come to without any fault, and that its caller knows."""
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


def ask(service: Service, learners: int = 6, **options: Any) -> Asked:
    """Write some waiting learners, and ask for them and one whose user is missing to be linked."""
    mapping = add_learners(learners)
    missing = f"missing-{next(iter(mapping))}"
    mapping |= {missing: missing}
    errors = {missing: f"No user found with username {missing}"}
    return Asked(service=service, task_id=service.link(mapping, **options), mapping=mapping, errors=errors)
