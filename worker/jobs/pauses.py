"""Pause and resume: jobs wait in the ledger, whatever messages they have in the broker.

A slice whose job is paused is not begun, and its message is dropped (:mod:`worker.jobs.slices`). Recovery leaves paused
jobs alone. When a pause is removed, the open slices of its jobs are sent again.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from linking.bulk import is_storable
from worker.exceptions import JobError
from worker.jobs.request import name_arguments
from worker.models import Cursor, LinkingJob, Pause
from worker.models.pauses import EVERYTHING, is_paused

log = logging.getLogger(__name__)

MAX_JOBS = 500
"""Most jobs that are dispatched in one go after a pause."""
MAX_TEXT = 255
"""Characters of a reason, or of the name of who paused, at most: the width of the columns."""
ARGUMENTS = ("job_id", "program_uuid", "everything", "reason", "by")
"""Arguments of the tasks, all by name."""
Kind = Pause.Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRequest:
    """What to pause or to resume, who asks for it, and why."""

    kind: Pause.Kind
    target: UUID
    by: str
    reason: str


def parse_pause_request(args: Sequence[Any], kwargs: Mapping[str, Any], *, service: str) -> PauseRequest:
    """Return the request in a message's arguments; ``service`` asks for it unless they say ``by``.

    Raises:
        ValueError: an argument is invalid.
    """
    given = name_arguments(args, kwargs, (), ARGUMENTS, required=())
    by, reason = given.pop("by", service), given.pop("reason", "")
    for name, text in (("by", by), ("reason", reason)):
        if not isinstance(text, str) or len(text) > MAX_TEXT or not is_storable(text):
            msg = f"{name} is no text of at most {MAX_TEXT} characters without NUL."
            raise ValueError(msg)
    match given:
        case {"everything": True, **others} if not others:
            return PauseRequest(kind=Kind.EVERYTHING, target=EVERYTHING, by=by, reason=reason)
        case {"program_uuid": text, **others} if not others:
            kind, name = Kind.PROGRAM, "program_uuid"
        case {"job_id": text, **others} if not others:
            kind, name = Kind.JOB, "job_id"
        case _:
            msg = "expected exactly one of job_id, program_uuid, and everything=true."
            raise ValueError(msg)
    try:
        return PauseRequest(kind=kind, target=UUID(text), by=by, reason=reason)
    except (AttributeError, TypeError, ValueError):
        msg = f"{name} is not a UUID."
        raise ValueError(msg) from None


def pause(kind: Pause.Kind, target: UUID = EVERYTHING, *, paused_by: str, reason: str = "") -> Pause:
    """Stop a job, a program or everything from the next slice on; return the pause, or the one that there is already.

    Raises:
        JobError: there is no such job, or it has ended.
    """
    if kind == Kind.JOB:
        job = LinkingJob.objects.find(target)
        if job.is_final:
            msg = f"job {target} is {job.state} already: there is nothing to pause."
            raise JobError(msg)
    values = {"paused_by": paused_by[:MAX_TEXT], "reason": reason[:MAX_TEXT]}
    made, is_new = Pause.objects.get_or_create(kind=kind, target=target, defaults=values)
    if is_new:
        log.info("%s is paused by %s", made.subject, made.paused_by)
    return made


def resume(kind: Pause.Kind, target: UUID = EVERYTHING, *, resumed_by: str) -> Pause:
    """Remove a pause and return it; the caller sends its jobs.

    Raises:
        JobError: there is no such pause.
    """
    found = Pause.objects.filter(kind=kind, target=target).first()
    if found is None:
        subject = Pause(kind=kind, target=target).subject
        msg = f"{subject} is not paused: manage.py linking_jobs list shows the pauses that there are."
        raise JobError(msg)
    found.delete()
    log.info("%s is resumed by %s", found.subject, resumed_by)
    return found


def held_jobs(kind: Pause.Kind, target: UUID, after: Cursor | None = None) -> tuple[list[LinkingJob], Cursor | None]:
    """Return the next open jobs that a pause held and that no other pause holds, the oldest first.

    Returns:
        The jobs, and where to continue; None if there are no more.
    """
    columns = {Kind.EVERYTHING: {}, Kind.PROGRAM: {"program_uuid": target}, Kind.JOB: {"pk": target}}
    found = LinkingJob.objects.open().filter(**columns[kind]).exclude(is_paused())
    batch = list(found.after(after)[:MAX_JOBS])
    return batch, batch[-1].cursor if len(batch) == MAX_JOBS else None


def pauses_by_job(jobs: Iterable[LinkingJob]) -> dict[UUID, Pause]:
    """Return the pauses that hold some jobs, by these; of several the widest. Jobs that have ended are not held."""
    found = [job for job in jobs if not job.is_final]
    if not found:
        return {}
    targets = {EVERYTHING, *(job.pk for job in found), *(job.program_uuid for job in found)}
    pauses = {(pause.kind, pause.target): pause for pause in Pause.objects.filter(target__in=targets)}
    held: dict[UUID, Pause] = {}
    for job in found:
        for key in ((Kind.EVERYTHING, EVERYTHING), (Kind.PROGRAM, job.program_uuid), (Kind.JOB, job.pk)):
            if key in pauses:
                held.setdefault(job.pk, pauses[key])
    return held


def describe_pause(pause: Pause) -> dict[str, str]:
    """Return a pause as data."""
    since = pause.created.isoformat()
    return {"paused": pause.subject, "by": pause.paused_by, "since": since, "reason": pause.reason}


def sentence_of(pause: Pause) -> str:
    """Return who paused what, when and why, as a sentence."""
    reason = f": {pause.reason}" if pause.reason else "."
    subject = pause.subject[0].upper() + pause.subject[1:]
    return f"{subject} is paused since {pause.created:%Y-%m-%d %H:%M} UTC by {pause.paused_by}{reason}"


def forget_pauses_of_ended_jobs() -> None:
    """Remove the pauses of jobs that have ended, such as cancelled ones."""
    ended = LinkingJob.objects.exclude(state__in=LinkingJob.OPEN_STATES)
    Pause.objects.filter(kind=Kind.JOB, target__in=ended.values("pk")).delete()
