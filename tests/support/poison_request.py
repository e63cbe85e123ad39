"""Loaded into a worker (``celery -I``): a request for a certain learner ends its worker before the ledger has it."""

import os
import signal
from typing import Any

from celery import signals

from worker import jobs

KILLS = "s-request-kills"

_submit = jobs.submit


def submit(job_id: Any, request: Any, *args: Any, **options: Any) -> Any:
    """Submit a job, unless the request is poison."""
    if any(learner.external_user_key == KILLS for learner in request.learners):
        os.kill(os.getpid(), signal.SIGKILL)
    return _submit(job_id, request, *args, **options)


@signals.worker_init.connect
def replace_submissions(**_: object) -> None:
    """Replace the function in the worker that loads this module, and not in the tests that import it."""
    jobs.submit = submit
