"""A backlog is no stall: queued work is worked off once, and neither the sweeper nor small jobs wait for it."""

import pytest

from tests.acceptance.recovery.conftest import StartWorker
from tests.support.backlog import assert_worked_off_once, slow_slices, work_off_backlog
from tests.support.service import Service

pytestmark = pytest.mark.skipif("config.getoption('database') != 'postgres'", reason="a trigger of PostgreSQL")


def test_a_backlog_is_worked_off_once_and_delays_neither_small_jobs_nor_the_sweeper(
    start_worker: StartWorker, caller: Service
) -> None:
    start_worker({"LINKING_STALL_AFTER": "1"})

    with slow_slices():
        worked_off = work_off_backlog(caller)

    assert_worked_off_once(worked_off)
