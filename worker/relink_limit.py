"""The relink limit (``max_relinks``): a count, or a percentage of a job's learners."""

import re

EXPECTED = "a whole number from 0, a percentage such as '5%', or None"


def is_relink_limit(value: object) -> bool:
    """Return whether a value is a count from 0, a percentage from ``"0%"`` to ``"100%"``, or None (no limit)."""
    if isinstance(value, str):
        return re.fullmatch(r"(0?[0-9]{1,2}|100)%", value) is not None
    return value is None or (type(value) is int and value >= 0)


def parse_relink_limit(text: str | None) -> int | str | None:
    """Return the limit that a person wrote: ``5`` is a count, ``5%`` a percentage; None stays None.

    Raises:
        ValueError: the text is neither.
    """
    limit = int(text) if text and re.fullmatch("[0-9]+", text) else text
    if not is_relink_limit(limit):
        msg = f"max_relinks={text!r}: expected {EXPECTED}."
        raise ValueError(msg)
    return limit


def allowed_relinks(limit: int | str | None, total: int) -> int | None:
    """Return the limit of a job with ``total`` learners as a count; a percentage is rounded down."""
    return int(limit.removesuffix("%")) * total // 100 if isinstance(limit, str) else limit


def refusal(relinks: int, total: int, limit: int | str | None) -> str:
    """Return the text that refuses a job of ``total`` learners, of which ``relinks`` would change hands."""
    return (
        f"{relinks:,} of {total:,} program enrollments would change hands, max_relinks={limit}"
        f" allows {allowed_relinks(limit, total):,}: nothing was written. Check the file; raise max_relinks if it is"
        " right."
    )
