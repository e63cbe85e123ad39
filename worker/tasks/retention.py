"""Removal of learners: of jobs that ended long ago, and of a person."""

from typing import TYPE_CHECKING, Any, cast

from celery import Task
from django.conf import settings

from worker.celery.application import app
from worker.celery.messages import FORGET
from worker.celery.request import RedactedTask
from worker.exceptions import JobError
from worker.imports.folder import prepare_inbox
from worker.imports.forgetting import ForgottenFiles, forget_in_files
from worker.jobs.forgetting import forget
from worker.jobs.person import Person
from worker.jobs.purge import purge_expired
from worker.tasks.files import IMPORT_TIME_LIMIT

if TYPE_CHECKING:
    from worker.celery.results import LedgerResults


@app.task(name="linking.purge_expired_jobs")
def purge_expired_jobs() -> dict[str, int]:
    """Remove the learners of jobs that ended long ago; return how much was removed."""
    removed, is_all = purge_expired()
    if not is_all:
        purge_expired_jobs.apply_async(countdown=1)
    return removed


@app.task(bind=True, base=RedactedTask, name=FORGET, throws=(ValueError, JobError), time_limit=IMPORT_TIME_LIMIT)
def forget_learner(self: Task[Any, Any], *names: str) -> dict[str, Any]:
    """Remove a person from the ledger, the results and the files of the inbox; return what was changed.

    ``names`` are the person's external user keys and usernames.

    Raises:
        ValueError: there is no name, or one is no text or is empty.
        JobError: open jobs or files that wait for their import name the person; all else was forgotten.
    """
    person = Person(*names)
    forgotten, files = forget(person), ForgottenFiles()
    cast("LedgerResults", self.backend).drop_results(forgotten.jobs)
    if settings.LINKING_INBOX is not None:
        files = forget_in_files(prepare_inbox(), person)
    places = [f"job {job_id} is open" for job_id in sorted(forgotten.open_jobs)]
    places += [f"file {name!r} waits for its import" for name in files.waiting]
    if places:
        msg = f"the person is still named: {'; '.join(places)}. Wait for it or remove it, then forget the person again."
        raise JobError(msg)
    return {
        "learners": forgotten.learners,
        "mentions": forgotten.mentions,
        "results": forgotten.results,
        "files": files.changed,
        "unreadable": files.unreadable,
    }
