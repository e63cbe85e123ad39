"""Loaded into a worker (``celery -I``): the decision about a learner with a certain key goes wrong."""

import os
import signal
from typing import Any

from celery import signals

from linking.engine import rules

KILLS, RAISES = "s-poison-kills", "s-poison-raises"

_plan = rules.plan


def plan(state: Any, program_uuid: Any, learner: Any) -> Any:
    """Decide, unless the learner is poison."""
    if learner.external_user_key == KILLS:
        os.kill(os.getpid(), signal.SIGKILL)
    if learner.external_user_key == RAISES:
        msg = "the learner is poison"
        raise RuntimeError(msg)
    return _plan(state, program_uuid, learner)


@signals.worker_init.connect
def replace_decisions(**_: object) -> None:
    """Replace the function in the worker that loads this module, and not in the tests that import it."""
    rules.plan = plan
