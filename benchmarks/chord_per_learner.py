"""Variant B: a chord with one Celery subtask per learner, which runs variant A for that learner.

A separate Celery application with default settings (early acknowledgement), results in the database, and its own queue.
"""

import os
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from celery import Celery, Task, chord

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "worker.settings")

LINK = "chord_per_learner.link_program_enrollments"

app = Celery("chord_per_learner", set_as_current=False)
app.conf.update(
    broker_url=os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0"),
    result_backend="django-db",
    task_default_queue="chord_per_learner",
    control_exchange="linking",  # Where devservers looks for a worker.
)


@app.task(bind=True, name=LINK)
def link_program_enrollments(self: Task[Any, Any], program_uuid: str, mapping: dict[str, str]) -> Any:
    """Link a mapping; the task replaces itself with the chord."""
    header = [link_learner.s(program_uuid, key, username) for key, username in mapping.items()]
    return self.replace(chord(header, merge_errors.s()))


@app.task(name="chord_per_learner.link_learner")
def link_learner(program_uuid: str, key: str, username: str) -> dict[str, str]:
    """Link one learner; return its error dictionary."""
    from benchmarks.sequential import link_program_enrollments as link  # noqa: PLC0415 - models need Django to be set up

    return link(UUID(program_uuid), {key: username})


@app.task(name="chord_per_learner.merge_errors")
def merge_errors(errors: Sequence[dict[str, str]]) -> dict[str, str]:
    """Merge the error dictionaries of all learners."""
    return {key: message for part in errors for key, message in part.items()}
