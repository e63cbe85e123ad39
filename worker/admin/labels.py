"""Texts of the pages, and their template library: ``{% load linking %}``."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django import template

from linking.bulk import Outcome, explain
from worker.admin.pauses import notice_of_pauses
from worker.jobs.summary import Difference
from worker.models import LearnerOutcome, LinkingJob, Pause
from worker.relink_limit import allowed_relinks, refusal

register = template.Library()


@register.filter
def outcome_label(outcome: str) -> str:
    """Return an outcome with spaces instead of underscores."""
    return outcome.replace("_", " ")


@register.filter
def explanation(learner: LearnerOutcome) -> str:
    """Return in words why a learner was not linked; empty where the message says so itself."""
    return explain(learner.message, learner.lms_username)


@register.filter
def short_id(job_id: UUID) -> str:
    """Return the first digits of a job's id."""
    return str(job_id)[:8]


@register.filter
def job_label(job: LinkingJob) -> str:
    """Return a job's short id, with the name of its file or the job that it undoes."""
    if job.undoes_id is not None:
        return f"Undo of {short_id(job.undoes_id)} ({short_id(job.pk)})"
    return f"{job.source} ({short_id(job.pk)})" if job.source else f"Job {short_id(job.pk)}"


@register.inclusion_tag("admin/worker/linkingjob/pause_notice.html", takes_context=True)
def pause_notice(context: Mapping[str, Any]) -> dict[str, Any]:
    """Show what is paused to users who may view jobs."""
    return {"perms": context["perms"], **notice_of_pauses(context["request"])}


@register.filter
def pause_label(pause: Pause, names: Mapping[UUID, str]) -> str:
    """Return what is paused: everything, a program by its name if it has one, or a job."""
    if pause.kind == Pause.Kind.EVERYTHING:
        return "Everything"
    if pause.kind == Pause.Kind.JOB:
        return f"Job {short_id(pause.target)}"
    return f"Program {names.get(pause.target, pause.target)}"


@register.filter
def duration(job: LinkingJob) -> str:
    """Return how long a job took; an empty text for a job that is open or never began."""
    if job.started is None or job.finished is None:
        return ""
    seconds = (job.finished - job.started).total_seconds()
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


@register.filter
def difference_label(difference: Difference) -> str:
    """Return the outcomes of which a job has more or fewer than the job before it."""
    changes = [f"{more:+,} {outcome_label(outcome)}" for outcome, more in difference.counts.items()]
    return ", ".join(changes) or "the same outcomes"


@register.filter
def refusal_label(job: LinkingJob) -> str:
    """Return why a job was refused; its stored message is for callers."""
    limit = job.options.get("max_relinks")
    if job.relinks is None:
        return job.message
    allowed = allowed_relinks(limit, job.total) or 0
    of_limit = f"the limit of {limit} allows {allowed:,}" if isinstance(limit, str) else f"the limit is {allowed:,}"
    notes = job.message.removeprefix(refusal(job.relinks, job.total, limit)).removeprefix("; ")
    text = f"{job.relinks:,} of {job.total:,} enrollments would change hands, but {of_limit}. Nothing was written."
    return f"{text} {notes}".strip()


@register.filter
def undoing_label(undoing: LinkingJob) -> str:
    """Return what an undo did, or that it is at work."""
    if not undoing.is_final:
        return "is undoing this job"
    undone, left = (undoing.counts.get(outcome, 0) for outcome in (Outcome.UNDONE, Outcome.CHANGED_SINCE))
    since = f"; {left:,} were changed since and are left as they are" if left else ""
    return f"undid {undone:,} of {undoing.total:,} learners{since}"


def percentage(count: int, total: int) -> str:
    """Return a share in percent; only a share of nothing is 0%, only the whole is 100%."""
    percent = 100 * count / total if total else 100.0
    if 0 < percent < 0.1:  # noqa: PLR2004 - the last digit shown
        return "<0.1%"
    if 99.9 < percent < 100:  # noqa: PLR2004 - as above
        return ">99.9%"
    return f"{percent:.0f}%" if percent.is_integer() else f"{percent:.1f}%"
