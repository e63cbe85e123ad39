"""A backlog is no stall: queued work is worked off once, and neither the sweeper nor small jobs wait for it."""

import pytest

from tests.acceptance.recovery.conftest import StartWorker
from tests.support.backlog import slow_slices, work_off_backlog
from tests.support.service import Service
from worker.models import LinkingJob

pytestmark = pytest.mark.skipif("config.getoption('database') != 'postgres'", reason="a trigger of PostgreSQL")


def test_a_backlog_is_worked_off_once_and_delays_neither_small_jobs_nor_the_sweeper(
    start_worker: StartWorker, caller: Service
) -> None:
    start_worker({"LINKING_STALL_AFTER": "1"})

    with slow_slices():
        small, sweeps, delivered, slices = work_off_backlog(caller)

    assert delivered <= 1.05 * slices
    assert LinkingJob.objects.filter(resumes__gt=0).count() == 0
    assert set(LinkingJob.objects.values_list("state", flat=True)) == {"done"}
    assert len(small) > 10
    assert max(small) < 1
    assert max(sweeps) < 1
