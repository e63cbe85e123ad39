"""What pages say of a job: its name, its kind, how far it is, what became of its learners."""

from typing import Any

from django.urls import reverse

from linking.bulk import Outcome
from worker.admin.charts import duration, label_of, segments, share
from worker.jobs import Progress
from worker.jobs.summary import Summary
from worker.models import LinkingJob


def list_of(source: str) -> str:
    """Return the address of the jobs that came with a file."""
    return reverse("admin:worker_linkingjob_changelist", query={"q": source})


def address_of(job: LinkingJob) -> str:
    """Return the address of a job's page."""
    return reverse("admin:worker_linkingjob_change", args=[job.pk])


def name_of(job: LinkingJob) -> str:
    """Return what a job is called."""
    short = str(job.pk)[:8]
    if job.undoes_id is not None:
        return f"Undo of {str(job.undoes_id)[:8]} ({short})"
    return f"{job.source} ({short})" if job.source else f"Job {short}"


def took(job: LinkingJob) -> str:
    """Return how long a job took, in words."""
    return duration(job.finished - job.started if job.finished and job.started else None)


def changes(numbers: Summary) -> list[str]:
    """Return in words how a job differs from the one before it."""
    difference = numbers.difference
    if difference is None:
        return []
    return [f"{more:+,} {label_of(outcome)}" for outcome, more in difference.counts.items()] or ["the same outcomes"]


def done(progress: Progress) -> dict[str, Any]:
    """Return how much is done, as a template draws it: ``width`` of 1,000, and ``share`` in words."""
    whole = 1000 * progress.done // progress.total if progress.total else 1000
    return {"width": whole, "share": share(progress.done, progress.total)}


def outcomes(progress: Progress) -> dict[str, Any]:
    """Return what became of learners, as a template draws it: ``segments``, and ``text`` in words."""
    shown = segments(progress.counts, progress.total)
    text = ", ".join(f"{segment.count:,} {segment.label}" for segment in shown)
    return {"segments": shown, "text": text or "no learners"}


def progress_context(job: LinkingJob, progress: Progress) -> dict[str, Any]:
    """Return what the template of a job's progress needs."""
    return {
        "job": job,
        "progress": progress,
        "kind": job.kind.value,
        "took": took(job),
        "would": job.dry_run,
        "relinked": progress.counts.get(Outcome.RELINKED, 0),
        "relinked_share": share(progress.counts.get(Outcome.RELINKED, 0), job.total),
        "changing": sum(progress.counts.get(o, 0) for o in (Outcome.LINKED, Outcome.RELINKED)),
        **done(progress),
        **outcomes(progress),
    }
