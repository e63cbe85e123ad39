"""The end of a job of one slice, run by the process that has run the slice: a message less for each small job.

The slice's message holds the end as the body of a chord. It is run as Celery runs a message: its result, its
retries and its failure are the same. If the process is killed meanwhile, the slice's message is delivered again.
"""

from collections.abc import Mapping
from typing import Any

from celery import Task
from celery.utils.log import get_task_logger

from worker.celery.application import app
from worker.celery.backend import LedgerBackend
from worker.celery.messages import END
from worker.logs import HIDDEN

log = get_task_logger(__name__)

PLAIN = frozenset({"task_id", "root_id", "parent_id", "group_id", "reply_to", "chord_size"})
"""Options of an end that is run here; one with the caller's chord, group or error callbacks is sent."""


def run_end(task: Task[Any, Any]) -> bool:
    """Run the end of a job that follows a slice's message; return False if the end is to be sent."""
    body: Any = task.request.chord
    # Celery's counters in Redis would not see that the chord has ended.
    if body is None or not _is_plain(body) or not isinstance(task.backend, LedgerBackend):
        return False
    end = app.tasks[END]
    options, task_id = body["options"], body["options"]["task_id"]
    request = {
        "id": task_id,
        "task": END,
        "root_id": options.get("root_id") or task_id,
        "parent_id": options.get("parent_id") or task.request.id,
        "group": options.get("group_id"),
        "argsrepr": HIDDEN,
        "kwargsrepr": HIDDEN,
        "delivery_info": task.request.delivery_info,
        "hostname": task.request.hostname,
        "ignore_result": False,
        "retries": 0,
    }
    trace: Any = end.__trace__  # Celery makes it when the process begins.
    _, info, runtime, _ = trace(task_id, tuple(body["args"]), {}, request)
    if info is None:
        _send_events(task_id, task.request.hostname, runtime)
    task.request.chord = None
    return True


def _is_plain(end: Mapping[str, Any]) -> bool:
    return end["task"] == END and end["options"].keys() <= PLAIN and "task_id" in end["options"]


def _send_events(task_id: str, hostname: str | None, runtime: float) -> None:
    """Send the events of a message, for Flower."""
    if not app.conf.worker_send_task_events:
        return
    try:
        with app.amqp.producer_pool.acquire(block=True) as producer:
            dispatcher = app.events.Dispatcher(
                producer.connection, hostname, channel=producer.channel, buffer_group=frozenset({"task"})
            )
            dispatcher.send("task-received", uuid=task_id, name=END, args=HIDDEN, kwargs=HIDDEN, retries=0)
            dispatcher.send("task-started", uuid=task_id)
            dispatcher.send("task-succeeded", uuid=task_id, result=HIDDEN, runtime=runtime)
            dispatcher.flush()
    except Exception as error:  # noqa: BLE001 - kombu raises many
        log.warning("the events of task %s cannot be sent (%s)", task_id, type(error).__name__)
