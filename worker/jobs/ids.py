"""Jobs by their ids or the first digits of these, as pages and logs show them."""

from string import hexdigits
from uuid import UUID

from worker.exceptions import JobError
from worker.models import LinkingJob

MIN_DIGITS = 8
"""Digits of a short id, at least: as many as the pages show."""
ALL_DIGITS = 32


def id_range(text: str) -> tuple[UUID, UUID] | None:
    """Return the lowest and the highest UUID that begin with these digits; None if the text is not such digits."""
    digits = text.strip().replace("-", "").lower()
    if not MIN_DIGITS <= len(digits) <= ALL_DIGITS or not set(digits) <= set(hexdigits):
        return None
    return UUID(digits.ljust(ALL_DIGITS, "0")), UUID(digits.ljust(ALL_DIGITS, "f"))


def find_job(text: str) -> LinkingJob:
    """Return the job whose id is, or begins with, ``text``.

    Raises:
        JobError: the text is no id, or none or several jobs have such an id.
    """
    ids = id_range(text)
    if ids is None:
        msg = f"{text!r} is no job id: expected a UUID, or its first {MIN_DIGITS} hexadecimal digits or more."
        raise JobError(msg)
    if ids[0] == ids[1]:
        return LinkingJob.objects.find(ids[0])
    found = LinkingJob.objects.filter(pk__range=ids).order_by("pk")[:2]
    if len(found) > 1:
        msg = f"several jobs have an id that begins with {text}: give more digits of it."
        raise JobError(msg)
    if not found:
        msg = f"no job has an id that begins with {text}: manage.py linking_jobs list shows those that there are."
        raise JobError(msg)
    return found[0]
