"""The step of an event: what is the same for all learners to whom it happens, in one column of few different texts."""

import json
from functools import lru_cache
from typing import NamedTuple


class Step(NamedTuple):
    """What happened to a course enrollment or role.

    ``kind`` and ``path`` are those of :mod:`linking.engine.transition`. ``before`` and ``after`` are states of the
    course enrollment ("active masters", "inactive audit"), empty where there is none.
    """

    kind: str
    path: str
    before: str
    after: str
    skip_refund: bool
    role: str


@lru_cache(maxsize=1024)
def step_text(  # noqa: PLR0917 - positional: a cache has one entry for each way of calling
    kind: str,
    path: str,
    before: tuple[bool, str] | None = None,
    after: tuple[bool, str] | None = None,
    skip_refund: bool = False,
    role: str = "",
) -> str:
    """Return a step as it is stored, of its parts; a state is (is_active, mode)."""
    return write_step(Step(kind, path, _described(before), _described(after), skip_refund, role))


def write_step(step: Step) -> str:
    """Return a step as it is stored."""
    return json.dumps(step, ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=1024)
def read_step(text: str) -> Step:
    """Return the step that :func:`step_text` wrote."""
    return Step(*json.loads(text))


def _described(state: tuple[bool, str] | None) -> str:
    return "" if state is None else f"{'active' if state[0] else 'inactive'} {state[1]}"
