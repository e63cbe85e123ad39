"""Learners with recognizable names, and searches for these names in logs, events and stored results."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from celery import Celery
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.serializers import serialize
from django_celery_results.models import GroupResult, TaskResult

from linking.models import ProgramEnrollment
from tests.support.ids import ALGEBRA, CURRICULUM, OTHER_CURRICULUM, PROGRAM
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_role, make_user
from tests.support.waiting import wait_until

SECRET = "zq7"
"""The beginning of every key and username of these tests, and of nothing else."""


def learners() -> dict[str, str]:
    """Write learners for every kind of outcome, warning and log record; return the mapping that links them."""
    make_course(ALGEBRA)
    users = {name: make_user(f"{SECRET}-{name}") for name in ("ada", "bob", "eve", "joe", "kim")}
    add_course_run(enroll(f"{SECRET}-waiting"), ALGEBRA, roles=("staff", "wizard"))
    make_role(users["bob"])
    add_course_run(enroll(f"{SECRET}-relinked", users["bob"]), ALGEBRA, enroll_in_course(users["bob"]))
    enroll(f"{SECRET}-already", users["eve"])
    enroll(f"{SECRET}-outside", users["joe"], curriculum_uuid=OTHER_CURRICULUM)
    enroll(f"{SECRET}-conflict", curriculum_uuid=OTHER_CURRICULUM)
    add_course_run(enroll(f"{SECRET}-course"), "course-v1:Org+Missing+1")  # type: ignore[arg-type] # stored as text
    return {
        f"{SECRET}-waiting": f"{SECRET}-ada",
        f"{SECRET}-relinked": f"{SECRET}-kim",
        f"{SECRET}-already": f"{SECRET}-eve",
        f"{SECRET}-conflict": f"{SECRET}-joe",
        f"{SECRET}-course": f"{SECRET}-bob",
        f"{SECRET}-missing": f"{SECRET}-ada",
        f"{SECRET}-nobody": f"{SECRET}-nobody",
    }


def many_learners(count: int) -> dict[str, str]:
    """Write ``count`` learners, most of them linkable; return the mapping that links them."""
    mapping = learners() | {f"{SECRET}-key-{n}": f"{SECRET}-user-{n}" for n in range(count - 7)}
    numbered = {key: name for key, name in mapping.items() if key.startswith(f"{SECRET}-key-")}
    get_user_model().objects.bulk_create(get_user_model()(username=name) for name in numbered.values())
    ProgramEnrollment.objects.bulk_create(
        ProgramEnrollment(external_user_key=key, program_uuid=PROGRAM, curriculum_uuid=CURRICULUM)
        for key in list(numbered)[10:]
    )
    return mapping


@contextmanager
def captured_events(url: str) -> Iterator[list[dict[str, Any]]]:
    """Collect the events that Flower receives, from the first event of a worker on."""
    app = Celery(broker=url, set_as_current=False)
    app.conf.update(broker_read_url=url, broker_write_url=url, event_exchange="linking.celeryev")
    events: list[dict[str, Any]] = []
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": events.append})
        thread = Thread(target=receiver.capture, kwargs={"wakeup": True})
        thread.start()
        try:
            wait_until(lambda: bool(events), "the worker sends events")
            yield events
        finally:
            receiver.should_stop = True
            thread.join()
    app.close()


def assert_silent(place: str, text: str) -> None:
    """Assert that ``text`` names no learner."""
    assert text, f"{place} is empty"
    at = text.casefold().find(SECRET)
    assert at < 0, f"{place} names a learner: …{text[max(at - 200, 0) : at + 100]}…"


def stored(task_id: str) -> str:
    """Return all stored results except the result of the caller's task."""
    rows = list(TaskResult.objects.all())
    for row in rows:
        if row.task_id == task_id:
            row.result = ""
    counters = apps.get_model("django_celery_results", "ChordCounter").objects.all()
    return str(serialize("json", [*rows, *GroupResult.objects.all(), *counters]))
