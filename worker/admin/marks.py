"""Marks beside the state of a job: whether it is paused, what it failed to do, and whether it was undone."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from linking.bulk import Outcome
from worker.jobs import Progress
from worker.jobs.selection import FAILED
from worker.models import LinkingJob


class Mark(NamedTuple):
    """A text beside the state, the name of its style, and the selection of learners that it leads to."""

    style: str
    text: str
    selection: str = ""


def undoings_by_job(found: Iterable[LinkingJob]) -> dict[UUID, list[LinkingJob]]:
    """Return the jobs that undo, or undid, some jobs, by these: one query, without dry runs."""
    undoings: dict[UUID, list[LinkingJob]] = defaultdict(list)
    for undoing in LinkingJob.objects.without_dry_runs().filter(undoes__in=list(found)).order_by("created"):
        if undoing.undoes_id:
            undoings[undoing.undoes_id].append(undoing)
    return undoings


def marks_of(
    job: LinkingJob, progress: Progress, undoings: Sequence[LinkingJob] = (), *, is_paused: bool = False
) -> list[Mark]:
    """Return the marks of a job."""
    marks = [Mark("paused", "paused")] if is_paused else []
    if job.state == LinkingJob.State.DONE and progress.failed:
        would, plural = "would " if job.dry_run else "", "s" if progress.failed > 1 else ""
        if job.undoes_id:
            text = f"{would}not be undone" if job.dry_run else "not undone"
        else:
            text = "would fail" if job.dry_run else f"failure{plural}"
        marks.append(Mark("failures", f"{progress.failed:,} {text}", FAILED))
    if any(not undoing.is_final for undoing in undoings):
        marks.append(Mark("undone", "being undone"))
    elif undone := undone_by(undoings):
        is_whole = undone >= progress.changed
        marks.append(Mark("undone", "undone" if is_whole else f"undone: {undone:,} of {progress.changed:,}"))
    return marks


def undone_by(undoings: Iterable[LinkingJob]) -> int:
    """Return the number of learners that some jobs, those that have ended, undid."""
    return sum(undoing.counts.get(Outcome.UNDONE, 0) for undoing in undoings)
