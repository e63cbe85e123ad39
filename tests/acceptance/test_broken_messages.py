"""Messages that would break Celery's consumer: they fail, and the worker processes the next one."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from devservers import WorkerProcess
from tests.support.ids import PROGRAM
from tests.support.sender import Sender
from tests.support.service import LINK, Service, failure_of, result_of
from worker.models import LinkingJob

SECRET = "name-nobody-may-see"
ARGS = [str(PROGRAM), {"s-1": SECRET}]
NOTHING: dict[str, Any] = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
REMEDY = "docs/contract.md says what a message must hold."
UNREADABLE = "[args, kwargs, {callbacks, errbacks, chain, chord}]"
LIMITS = "'timelimit' is not [hard, soft], each null or a number of seconds above 0"

BODIES = [
    (5, f"the body is a number, not {UNREADABLE}"),
    (True, f"the body is a boolean, not {UNREADABLE}"),
    (None, f"the body is missing or null, not {UNREADABLE}"),
    (SECRET, f"the body is a text, not {UNREADABLE}"),
    ({"args": ARGS}, f"the body is an object, not {UNREADABLE}"),
    ([ARGS, {}], f"the body is a list, not {UNREADABLE}"),
    ([SECRET], f"the body is a list, not {UNREADABLE}"),
    ([SECRET, {}, NOTHING], "'args' is a text, not a list"),
    ([{SECRET: 1}, {}, NOTHING], "'args' is an object, not a list"),
    ([ARGS, [SECRET], NOTHING], "'kwargs' is a list, not an object"),
    ([ARGS, {}, [SECRET]], "the third part of the body is a list, not an object"),
    ([ARGS, {}, SECRET], "the third part of the body is a text, not an object"),
    ([ARGS, {}, {"callbacks": SECRET}], "'callbacks' is not a list of signatures"),
    ([ARGS, {}, {"errbacks": [SECRET]}], "'errbacks' is not a list of signatures"),
    ([ARGS, {}, {"chain": [{}]}], "'chain' is not a list of signatures"),
    ([ARGS, {}, {"chord": 5}], "'chord' is a number, not a signature"),
]
HEADERS: list[tuple[dict[str, Any], str]] = [
    ({"timelimit": "ab"}, LIMITS),
    ({"timelimit": [5]}, LIMITS),
    ({"timelimit": ["5", "5"]}, LIMITS),
    ({"timelimit": [None, -5]}, LIMITS),
    ({"stamped_headers": 5}, "'stamped_headers' is not a list of texts"),
    ({"eta": "tomorrow"}, "invalid ETA value 'tomorrow': "),
    ({"expires": 5}, "invalid expires value 5: "),
]
NAMELESS: list[Mapping[str, Any]] = [{"id": None}, {"id": {}}, {"id": 5}, {"task": [LINK]}, {"task": None}]


@pytest.fixture
def sender(service: Service, worker_env: dict[str, str]) -> Sender:
    return Sender(worker_env["CELERY_BROKER_URL"])


def headed(**changes: Any) -> dict[str, Any]:
    """Return the headers of a good message, with changes."""
    return {"lang": "py", "task": LINK, "id": str(uuid4()), "root_id": None, "argsrepr": SECRET} | changes


def test_a_broken_message_ends_no_worker(
    service: Service, sender: Sender, celery_worker_process: WorkerProcess
) -> None:
    children = {child.pid for child in celery_worker_process.pool_children()}
    log_before = len(celery_worker_process.log.read_text())
    expected = {}
    for body, fault in BODIES:
        headers = headed()
        sender.send(json.dumps(body).encode(), headers)
        expected[headers["id"]] = fault
    for changes, fault in HEADERS:
        headers = headed(**changes)
        sender.send(json.dumps([ARGS, {}, NOTHING]).encode(), headers)
        expected[headers["id"]] = fault
    for nameless in NAMELESS:
        sender.send(json.dumps([ARGS, {}, NOTHING]).encode(), headed(**nameless))
    sender.send(json.dumps({"task": LINK, "args": ARGS, "kwargs": {}}).encode(), {})
    sender.send(json.dumps({"task": [], "id": {}, "args": 5}).encode(), {})
    sender.send(b"{", headed(id=5, task="nobody.knows"))
    sender.send(f'[["{PROGRAM}", {{"{SECRET}": '.encode(), headed())
    sender.send(b"\xff", {})

    assert result_of(service.link({})) == {}

    for task_id, fault in expected.items():
        kind, text = failure_of(task_id)
        assert kind == "InvalidTaskError"
        assert text.startswith(fault)
        assert text.endswith(REMEDY) or "invalid e" in text.lower()
    service.broker.wait_until_quiet()
    assert LinkingJob.objects.count() == 1
    assert {child.pid for child in celery_worker_process.pool_children()} == children
    log = celery_worker_process.log.read_text()[log_before:]
    assert "Unrecoverable error" not in log
    assert "Connection to broker lost" not in log
    assert SECRET not in log
