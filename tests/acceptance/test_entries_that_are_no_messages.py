"""Entries of Redis lists, and broadcasts, that are no messages: they are dropped, and the worker goes on."""

import base64
import json
from functools import partial
from typing import Any
from uuid import uuid4

import redis

from devservers import WorkerProcess
from tests.support.broker import BY_PRIORITY, TASKS
from tests.support.service import Service, result_of
from tests.support.waiting import wait_until

SECRET = "name-nobody-may-see"
BROADCASTS = ("/0.linking.pidbox", "/0.linking.celeryev/worker.heartbeat")
"""Channels that each worker subscribes to: control commands, and events of other workers."""


MISSING: Any = object()


def envelope(**changes: Any) -> dict[str, Any]:
    """Return a message for an unknown task, with changes to its fields."""
    whole = {
        "body": base64.b64encode(json.dumps([[SECRET], {}, None]).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"lang": "py", "task": "nobody.knows", "id": str(uuid4())},
        "properties": properties(),
    }
    return {name: value for name, value in (whole | changes).items() if value is not MISSING}


def properties(**changes: Any) -> dict[str, Any]:
    """Return the properties of a message, with changes."""
    delivery = {"exchange": "", "routing_key": TASKS}
    whole = {"delivery_tag": str(uuid4()), "delivery_info": delivery, "body_encoding": "base64"}
    return {name: value for name, value in (whole | changes).items() if value is not MISSING}


BINARY = (b"", b"\x00", b"\xff\xfe", b"\x80\x04K\x05.", json.dumps(envelope()).encode("utf-16"))
NOT_JSON = (b"x", SECRET.encode(), json.dumps(envelope()).encode()[:-1], b"[" * 100_000)
VALUES: tuple[Any, ...] = (5, True, None, [], {}, SECRET, [envelope()], {"__type__": "uuid", "__value__": 5})
FIELDS: dict[str, tuple[Any, ...]] = {
    "body": (MISSING, None, 5, [SECRET], {}, "x"),
    "headers": (MISSING, None, 5, [], SECRET),
    "properties": (MISSING, None, 5, [], {}, SECRET),
    "content-type": (5, []),
    "content-encoding": (5, []),
}
PROPERTIES: dict[str, tuple[Any, ...]] = {
    "delivery_tag": (MISSING, None, True, [], {}),
    "delivery_info": (MISSING, None, 5, {}, {"exchange": ""}, {"exchange": [], "routing_key": {}}),
    "body_encoding": ("rot13", 5, ["base64"]),
}
FAULTS = (
    *(envelope(**{name: value}) for name, values in FIELDS.items() for value in values),
    *(envelope(properties=properties(**{name: one})) for name, values in PROPERTIES.items() for one in values),
)
ENTRIES = (*BINARY, *NOT_JSON, *(json.dumps(one).encode() for one in (*VALUES, *FAULTS)))
BODIES = [envelope(body=json.dumps(body), properties=properties(body_encoding=None)) for body in VALUES]
"""Messages whose bodies no consumer of broadcasts expects."""


def test_an_entry_that_is_no_message_ends_no_worker(
    service: Service, worker_env: dict[str, str], celery_worker_process: WorkerProcess
) -> None:
    before, pid = len(celery_worker_process.log.read_text()), celery_worker_process.pid
    children = {child.pid for child in celery_worker_process.pool_children()}

    with redis.Redis.from_url(worker_env["CELERY_BROKER_URL"]) as client:
        for name in BY_PRIORITY:
            client.lpush(name, *ENTRIES)
        for channel in BROADCASTS:
            for entry in (*ENTRIES, *map(json.dumps, BODIES)):
                # Celery subscribes anew after a control command that it could not process.
                wait_until(partial(client.publish, channel, entry), "the worker has subscribed")
        wait_until(lambda: not any(map(client.llen, BY_PRIORITY)), "the entries are read")
        assert result_of(service.link({})) == {}
        service.broker.wait_until_quiet()

    log = celery_worker_process.log.read_text()[before:]
    assert log.count("is no message") == len(BY_PRIORITY) * len(ENTRIES)
    assert f"an entry of 1 bytes in the list '{TASKS}' is no message (JSONDecodeError): it is dropped" in log
    assert celery_worker_process.is_running
    assert celery_worker_process.pid == pid
    assert {child.pid for child in celery_worker_process.pool_children()} == children
    assert "Unrecoverable error" not in log
    assert "Connection to broker lost" not in log
    assert SECRET not in log
    assert base64.b64encode(SECRET.encode()).decode()[:-3] not in log
