"""Reading of environment variables: an invalid value stops the process, with its name and what is expected."""

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")

env = environ.Env()
BOOLEANS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off", ""), False)
MAX_INTEGER = 2**31 - 1
"""The largest number that a setting may have."""


def refuse(name: str, value: str, expected: str) -> NoReturn:
    """Raise the error about a variable's value; ``expected`` ends its text."""
    msg = f"{name}={value!r} cannot be right: expected {expected}."
    raise ImproperlyConfigured(msg)


def read(
    name: str, default: str, parse: Callable[[str], T], expected: str, valid: Callable[[T], bool] = lambda _: True
) -> T:
    """Return a variable's parsed value; ``expected`` ends the message that refuses a value."""
    text: str = env.str(name, default).strip()
    try:
        if valid(value := parse(text)):
            return value
    except (KeyError, ValueError):
        pass  # Refused below, without the cause: its text may hold a password.
    shown = f"{text.partition(':')[0]}:…" if name.endswith("_URL") or "://" in text else text
    refuse(name, shown, expected)


def boolean(name: str, *, default: bool) -> bool:
    """Return whether a variable is switched on."""
    return read(name, str(int(default)), lambda text: BOOLEANS[text.lower()], "1 or 0")


def integer(name: str, default: int, *, least: int = 1, most: int = MAX_INTEGER) -> int:
    """Return a variable's whole number."""
    expected = f"a whole number from {least:,} to {most:,}"
    return read(name, str(default), int, expected, lambda number: least <= number <= most)


def path(name: str, expected: str, valid: Callable[[Path], bool]) -> Path | None:
    """Return a variable's path; None if it is not set."""
    return read(name, "", lambda text: Path(text) if text else None, expected, lambda it: it is None or valid(it))
