"""What the log may say of a message that no task takes: never what is in it."""

import logging
from typing import Final

UNUSABLE: Final = frozenset({"on_unknown_message", "on_unknown_task", "on_invalid_task", "on_decode_error"})
"""The functions of Celery's consumer that log such a message, with its headers and body."""


class HiddenMessages(logging.Filter):
    """A misspelled task name must not put a whole mapping into the log: the error itself is what is kept."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Hide everything but the error."""
        if record.funcName in UNUSABLE and isinstance(record.args, tuple):
            record.args = tuple(
                value if isinstance(value, Exception) else "(not shown: it may name learners)" for value in record.args
            )
        return True
