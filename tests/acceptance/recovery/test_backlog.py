"""A backlog is no stall: queued work is worked off once, and neither the sweeper nor small jobs wait for it."""

from uuid import uuid4

import pytest
from django.utils import timezone

from chaos.environment import Beat
from tests.acceptance.recovery.conftest import StartWorker
from tests.support.backlog import assert_worked_off_once, slow_slices, work_off_backlog
from tests.support.jobs import submit
from tests.support.service import Service
from tests.support.waiting import wait_until
from worker.models import LinkingJob

LOST = 100
pytestmark = pytest.mark.skipif("config.getoption('database') != 'postgres'", reason="a trigger of PostgreSQL")


def test_a_backlog_is_worked_off_once_and_delays_neither_small_jobs_nor_the_sweeper(
    start_worker: StartWorker, caller: Service
) -> None:
    start_worker({"LINKING_STALL_AFTER": "1"})

    with slow_slices():
        worked_off = work_off_backlog(caller)

    assert_worked_off_once(worked_off)


def test_a_hundred_small_jobs_whose_messages_were_lost_are_sent_again_at_once(
    start_worker: StartWorker, beat: Beat
) -> None:
    for _ in range(LOST):
        submit({"s-1": "nobody"}, uuid4())
    LinkingJob.objects.update(state="running", dispatched=timezone.now())
    start_worker()
    assert beat.is_running

    wait_until(lambda: not LinkingJob.objects.filter(notified=None).exists(), "all jobs end")

    assert set(LinkingJob.objects.values_list("state", "resumes")) == {("done", 1)}
