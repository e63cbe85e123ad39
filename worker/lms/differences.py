"""Differences between the tables of the LMS and what linking needs, which keep it from starting."""

import logging
import time

from django.core.checks import CheckMessage, Tags, run_checks
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections

from linking.bulk import error_name, is_outage

log = logging.getLogger(__name__)

WAIT = 5.0
"""Seconds between attempts to reach the database."""


def harmful_differences() -> list[CheckMessage]:
    """Return the differences that would harm."""
    messages = run_checks(tags=[Tags.database], databases=[DEFAULT_DB_ALIAS])
    return [message for message in messages if message.is_serious() and not message.is_silenced()]


def refuse_to_start() -> None:
    """End the process, with exit status 1, if a difference would harm; wait for a database that does not answer."""
    while True:
        try:
            differences = harmful_differences()
            break
        except OperationalError as error:
            if not is_outage(error):
                raise
            log.warning("the database does not answer (%s); next attempt in %.0f s", error_name(error), WAIT)
            time.sleep(WAIT)
    connections.close_all()  # The pool's children must not share it.
    for difference in differences:
        log.critical("%s [%s] %s", difference.msg, difference.id, difference.hint)
    if differences:
        log.critical("the worker does not start: `manage.py check` lists the differences, docs/lms.md explains them")
        raise SystemExit(1)
