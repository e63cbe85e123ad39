"""Files of the inbox."""

import logging
from typing import Any

from celery import Task
from django.conf import settings

from worker import dispatch
from worker.celery.application import app
from worker.imports import inbox
from worker.imports.folder import list_inbox, prepare_inbox
from worker.imports.left import report_left
from worker.imports.submission import jobs_of
from worker.models import InboxFile

log = logging.getLogger(__name__)


IMPORT_TIME_LIMIT = 4 * 3600
"""Time limit in seconds for tasks that read files or write reports. A redelivery meanwhile finds the files leased."""
INBOX_CHECK_INTERVAL = 60
"""Seconds between checks of an inbox in which a file is still growing."""
MAX_INBOX_CHECKS = 10
"""Checks of such an inbox in one night."""


@app.task(bind=True, name="linking.import_inbox", time_limit=IMPORT_TIME_LIMIT)
def import_inbox(self: Task[Any, Any]) -> list[dict[str, Any]]:
    """Import the files in the inbox; return their names and the ids of their jobs."""
    if settings.LINKING_INBOX is None:
        log.info("LINKING_INBOX is not set: there is nothing to import")
        return []
    folder = prepare_inbox()
    settled, growing, left = list_inbox(folder)
    report_left(left)
    files = [_dispatch_file(file) for file in inbox.claim_files(folder, settled)]
    if growing and self.request.retries < MAX_INBOX_CHECKS:
        again: dict[str, Any] = {"countdown": INBOX_CHECK_INTERVAL, "retries": self.request.retries + 1}
        self.apply_async(**again)
    return files


@app.task(name="linking.attend_inbox", ignore_result=True, time_limit=IMPORT_TIME_LIMIT)
def attend_inbox() -> None:
    """Advance claimed files: those whose worker died, and those whose jobs have ended."""
    if settings.LINKING_INBOX is None:
        log.error("LINKING_INBOX is not set, but files were claimed from it: set it for every worker")
        return
    for file in inbox.advance_files(prepare_inbox()):
        _dispatch_file(file)


def _dispatch_file(file: InboxFile) -> dict[str, Any]:
    """Dispatch the jobs of a file; return its name and their ids."""
    dispatch.dispatch_all(jobs_of(file))
    summary = {"file": file.name, "jobs": file.jobs}
    return summary | {"message": file.message} if file.message else summary
