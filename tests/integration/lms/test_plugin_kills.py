"""The process of the LMS is killed while its plug-in works on a batch, which is then delivered again, until it is done.

``LINKING_PLUGIN_KILLS=20`` kills it so many times; without it twice.
"""

import random
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import override_settings

from linking.events import Event
from tests.support.jobs import run_job
from tests.support.lms.process import LmsProcess
from tests.support.populations import add_learners_of_every_kind
from tests.support.waiting import wait_until
from tests.support.worlds.examples import number_of

KILLS = number_of(2, "LINKING_PLUGIN_KILLS")
MODULE = "tests.support.recording_lms"
pytestmark = [
    pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(120 + 30 * KILLS),
]
LEARNERS = 28


def recorded() -> int:
    """Return how many calls are recorded by transactions that are committed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM recording_lms_record")
        (count,) = cursor.fetchone()
    return int(count)


def records(lms: LmsProcess) -> list[Any]:
    """Return what was recorded, in its order."""
    return sorted(lms.call("records"), key=lambda record: record[0] or 0)  # Each user's in order.


def kill_while_receiving(database_url: str, batch: str, found: Sequence[dict[str, Any]], at: int) -> None:
    """Deliver a batch, and kill the LMS when so many calls are recorded."""
    with LmsProcess(database_url, MODULE) as lms:
        lms.send("receive", batch, found)
        wait_until(lambda: recorded() >= at, f"{at} calls are recorded", interval=0.005)
        lms.kill()


def test_a_batch_that_is_delivered_again_after_kills_is_announced_once(database_url: str) -> None:
    mapping = add_learners_of_every_kind(LEARNERS)
    with override_settings(LINKING_EVENTS=True):
        run_job(mapping)
    found = [event.as_json() for event in Event.objects.order_by("pk")]
    batch, chance = str(uuid4()), random.Random(1)  # noqa: S311 - the same each time
    with LmsProcess(database_url, MODULE) as lms:
        lms.call("begin")
        lms.call("receive", batch, found)
        expected = records(lms)
        lms.call("begin")

    for at in sorted(chance.randrange(1, len(expected) * 9 // 10) for _ in range(KILLS)):
        kill_while_receiving(database_url, batch, found, at)
        assert recorded() < len(expected)
    with LmsProcess(database_url, MODULE) as lms:
        lms.call("receive", batch, found)
        lms.call("receive", str(uuid4()), found[::-1])
        assert records(lms) == expected
