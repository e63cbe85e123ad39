"""The purge as beat sends it to a real worker."""

from datetime import timedelta

from django.utils import timezone
from django_celery_results.models import TaskResult

from tests.support.populations import add_learners
from tests.support.service import Service, result_of
from tests.support.waiting import wait_until
from worker.models import LearnerOutcome, LinkingJob


def test_the_result_of_the_purge_counts_the_removed_rows(service: Service) -> None:
    old, young = (service.link(add_learners(3) | {"s-9": "nobody"}) for _ in range(2))
    for task_id in (old, young):
        assert result_of(task_id) == {"s-9": "No user found with username nobody"}
        wait_until(LinkingJob.objects.filter(pk=task_id).exclude(notified=None).exists, "the job is notified")
    LinkingJob.objects.filter(pk=old).update(finished=timezone.now() - timedelta(days=91))

    removed = result_of(service.send("linking.purge_expired_jobs"))

    assert removed == {"learners": 4, "results": 1, "files": 0, "jobs": 1}
    assert set(LearnerOutcome.objects.values_list("job_id", flat=True)) == {LinkingJob.objects.get(pk=young).pk}
    assert not TaskResult.objects.filter(task_id=old).exists()
    assert LinkingJob.objects.get(pk=old).counts == {"linked": 3, "no_user": 1}
