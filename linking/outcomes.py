"""Plain values of the engine: a learner going in, what became of it coming out."""

import enum
from dataclasses import dataclass, field
from typing import Any


class Outcome(enum.StrEnum):
    """What became of a learner."""

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

    ``before`` is what linking it changed, where that is to be taken back (see :class:`Result`).
    """

    position: int
    external_user_key: str
    lms_username: str
    before: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a learner.

    ``before`` holds what the rows held that were changed, and what they hold now, as plain JSON (see
    :mod:`linking.engine.rules`); None where nothing was changed.
    """

    learner: Learner
    outcome: Outcome
    message: str = ""
    warnings: list[str] = field(default_factory=list)
    before: dict[str, Any] | None = None
