"""Contestant B: a chord with one Celery subtask per learner, which runs A's workflow for that learner.

A Celery application of its own, set up as the manuals say: late nothing, results in the database. Its messages go
through a queue of their own.
"""

import os
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from celery import Celery, Task, chord

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "worker.settings")

LINK = "naive.link_program_enrollments"

app = Celery("naive", set_as_current=False)
app.conf.update(
    broker_url=os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0"),
    result_backend="django-db",
    task_default_queue="naive",
)


@app.task(bind=True, name=LINK)
def link_program_enrollments(self: Task[Any, Any], program_uuid: str, mapping: dict[str, str]) -> Any:
    """Link a mapping: replaces itself with the chord."""
    header = [link_learner.s(program_uuid, key, username) for key, username in mapping.items()]
    return self.replace(chord(header, merge_errors.s()))


@app.task(name="naive.link_learner")
def link_learner(program_uuid: str, key: str, username: str) -> dict[str, str]:
    """Link one learner; return its error dictionary."""
    from benchmarks.sequential import link_program_enrollments as link  # noqa: PLC0415 - models need Django set up

    return link(UUID(program_uuid), {key: username})


@app.task(name="naive.merge_errors")
def merge_errors(errors: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return one error dictionary."""
    return {key: message for part in errors for key, message in part.items()}
