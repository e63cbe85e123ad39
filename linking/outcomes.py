"""Plain values that go into the engine and come out of it: learners and their results."""

import enum
import logging
from dataclasses import dataclass, field
from typing import Any


class Outcome(enum.StrEnum):
    """The outcome of a learner, as the ledger stores it."""

    PENDING = "pending"
    LINKED = "linked"
    RELINKED = "relinked"
    ALREADY_LINKED = "already_linked"
    NO_USER = "no_user"
    NO_ENROLLMENT = "no_enrollment"
    COURSE_ERROR = "course_error"
    CONFLICT = "conflict"
    ERROR = "error"
    CANCELLED = "cancelled"
    UNDONE = "undone"
    CHANGED_SINCE = "changed_since"


SUCCESSES = frozenset({Outcome.LINKED, Outcome.RELINKED, Outcome.UNDONE})
"""Outcomes without a message."""
FAILURES = frozenset(Outcome) - SUCCESSES - {Outcome.PENDING, Outcome.ALREADY_LINKED}
"""Outcomes that count as a failure: for exit codes, alerts and retries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """One entry of a mapping; ``position`` (from 0) is its place in mapping order.

    ``before`` is the change to undo, as :class:`Result` has it; ``warnings`` are those about the entry itself.
    """

    position: int
    external_user_key: str
    lms_username: str
    before: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()


LogRecord = tuple[int, str, BaseException | None]
"""Level, text and exception."""


@dataclass(slots=True, kw_only=True, eq=False)
class Result:
    """The result of a learner.

    ``before`` is the change to its rows, as JSON (see :mod:`linking.engine.change`); None where nothing was changed.
    ``warnings`` begin with those of the learner.
    """

    learner: Learner
    outcome: Outcome
    message: str = ""
    warnings: list[str] = field(default_factory=list)
    before: dict[str, Any] | None = None
    fault: BaseException | None = None  # The error behind the message.
    records: list[LogRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Add the learner's own warnings."""
        for text in self.learner.warnings:
            self.warn(logging.WARNING, text)

    def warn(self, level: int, text: str) -> None:
        """Add a warning, which does not keep the learner from being linked, and log it at ``level``."""
        self.warnings.append(text)
        self.records.append((level, text, None))

    @property
    def log(self) -> list[LogRecord]:
        """The records to log after the commit."""
        return [*self.records, (logging.WARNING, self.message, self.fault)] if self.message else self.records
