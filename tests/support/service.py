"""A service that sends tasks by name and has its callbacks sent to its own queues."""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from uuid import uuid4

from celery import Celery, chain, chord, states
from celery.canvas import Signature
from django.apps import apps
from django_celery_results.models import TaskResult

from tests.support.broker import TASKS, Broker
from tests.support.ids import PROGRAM
from tests.support.waiting import wait_until

LINK = "linking.link_program_enrollments"
ANSWERS, FAILURES, NEXT = "answers", "failures", "next"
"""Queues that no worker of ours listens on."""


class Service:
    """A Celery client that uses only the names of our tasks."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._app = Celery(broker=url, set_as_current=False)
        self._app.conf.update(broker_read_url=url, broker_write_url=url, task_default_queue=TASKS)

    @cached_property
    def broker(self) -> Broker:
        """A direct view of the broker, which must be Redis."""
        return Broker(self._url)

    def close(self) -> None:
        """Disconnect."""
        self._app.close()
        self.broker.close()

    def use_protocol(self, version: int) -> None:
        """Send messages in a version of Celery's protocol."""
        self._app.conf.task_protocol = version

    def callback(self, queue: str = ANSWERS, **options: Any) -> "Signature[Any]":
        """Return a task of the service's own, for ``link=`` and the like."""
        return Signature("service.receive", app=self._app, options={"queue": queue}, **options)

    def send(self, task: str, *args: Any, task_id: str | None = None, **options: Any) -> str:
        """Send a task by name and return its id."""
        task_id = task_id or str(uuid4())
        self._app.send_task(task, args, task_id=task_id, **options)
        return task_id

    def link(self, mapping: Mapping[str, Any], task_id: str | None = None, **options: Any) -> str:
        """Send a mapping whose callbacks go to the queues ``answers`` and ``failures``; return the task id.

        ``options`` are the task's own keyword arguments.
        """
        answers = {"link": self.callback(), "link_error": self.callback(FAILURES)}
        return self.send(LINK, str(PROGRAM), mapping, task_id=task_id, kwargs=options, **answers)

    def signature(self, mapping: Mapping[str, Any], program: str = str(PROGRAM), **options: Any) -> "Signature[Any]":
        """Return the task that links a mapping, for a chain; ``options`` are Celery's (``link=`` and the like)."""
        made: Signature[Any] = Signature(LINK, app=self._app, args=(program, mapping))
        return made.set(**options)

    def chain(self, *tasks: "Signature[Any]") -> tuple[str, str]:
        """Send a chain and return the ids of its first and its last task."""
        last, *_, first = chain(*tasks, app=self._app).apply_async().as_list()
        return str(first), str(last)

    def chord(self, header: "list[Signature[Any]]", body: "Signature[Any]") -> list[str]:
        """Send a chord whose results are counted in our database, and return the ids of its parts."""
        with Celery(broker=self._url, backend="django-db", set_as_current=False) as app:
            app.conf.update(broker_read_url=self._url, broker_write_url=self._url, task_default_queue=TASKS)
            ours = [Signature.from_dict(dict(part), app=app) for part in [*header, body]]
            sent: Any = chord(ours[:-1], ours[-1], app=app).apply_async()
            return [task_id for (task_id, _), *_ in sent.parent.as_tuple()[1]]

    def answers(self) -> list[Any]:
        """Return the error dictionaries that the ``link=`` callbacks were called with."""
        return [args[0] for args in self.broker.calls(ANSWERS)]


def result_of(task_id: str) -> Any:
    """Wait for a task to end well and return its stored result."""
    row = ended(task_id)
    assert row.status == states.SUCCESS, row.result
    return json.loads(row.result)


def failure_of(task_id: str) -> tuple[str, str]:
    """Wait for a task to fail and return the name of the exception and its text."""
    row = ended(task_id)
    assert row.status == states.FAILURE, row.result
    stored = json.loads(row.result)
    return stored["exc_type"], " ".join(stored["exc_message"])


def ended(task_id: str) -> TaskResult:
    """Wait for a task to end and return its row."""
    rows = TaskResult.objects.filter(task_id=task_id, status__in=states.READY_STATES)
    wait_until(rows.exists, f"task {task_id} ends")
    return rows.get()


def open_chords() -> int:
    """Return how many chords still wait for some of their subtasks."""
    return int(apps.get_model("django_celery_results", "ChordCounter").objects.count())
