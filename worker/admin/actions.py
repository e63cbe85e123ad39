"""What can be done with a job from its page: who may, when, what is asked back, and which function does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings

from linking.bulk import Outcome
from worker import jobs
from worker.jobs import Progress
from worker.jobs.derived import preview_request, retry_request, run_id_of, run_request
from worker.jobs.request import LinkRequest
from worker.models import LinkingJob

RUN, UNDO = "worker.run_linkingjob", "worker.undo_linkingjob"
"""Permissions, beside that to view jobs."""
CHANGING = (Outcome.LINKED, Outcome.RELINKED)
"""Outcomes of learners whose rows have been changed, or would be."""


class ConfirmForm(forms.Form):
    """A confirmation. ``job_id`` is the id of the job to come: pressed twice, the button makes one job."""

    job_id = forms.UUIDField(widget=forms.HiddenInput)


class RunForm(ConfirmForm):
    """A confirmation that a preview is to be run."""

    max_relinks = forms.CharField(
        label="Enrollments that may change hands, at most",
        required=False,
        max_length=20,
        help_text="A number, or a percentage such as 5%. Above it nothing is written. Empty: any number.",
        widget=forms.TextInput(attrs={"size": 8}),
    )

    def clean_max_relinks(self) -> int | str | None:
        """Return a number as a number."""
        text: str = self.cleaned_data["max_relinks"].strip()
        return int(text) if text.isdecimal() else text or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something to be done with a job.

    Attributes:
        name: as in the address.
        label: as on the button.
        permission: who may press it, beside viewing the job.
        question: what is asked back; ``{count}`` learners are concerned, of ``{total}``.
        concerned: how many learners that is, None where the button is not offered.
        press: does it, given the job, the id of the job to come and what else the form holds. Returns the job to show.
        form: what the page that asks back sends.
        needs_broker: whether nothing is begun while the broker is away.
        warns: whether the button takes something away.
    """

    name: str
    label: str
    permission: str
    question: str
    concerned: Callable[[LinkingJob, Progress], int | None]
    press: Callable[[LinkingJob, UUID, Mapping[str, Any]], LinkingJob]
    form: type[ConfirmForm] = ConfirmForm
    needs_broker: bool = True
    warns: bool = False


def _has_learners(job: LinkingJob) -> bool:
    return job.is_final and job.purged is None and job.undoes_id is None


def _to_run(job: LinkingJob, progress: Progress) -> int | None:
    done = job.state == LinkingJob.State.DONE and _has_learners(job) and job.dry_run
    if not done or run_of(job):
        return None
    return _sum(progress, *CHANGING) or None


def _to_preview(job: LinkingJob, _: Progress) -> int | None:
    return job.total if _has_learners(job) else None


def _to_cancel(job: LinkingJob, progress: Progress) -> int | None:
    return None if job.is_final else job.total - progress.done


def _to_retry(job: LinkingJob, progress: Progress) -> int | None:
    return (progress.failed or None) if _has_learners(job) and not job.dry_run else None


def _to_undo(job: LinkingJob, progress: Progress) -> int | None:
    if not _has_learners(job) or job.dry_run:
        return None
    changed = _sum(progress, *CHANGING)
    undoings = job.undoings.without_dry_runs() if changed else ()
    return changed - sum(undoing.counts.get(Outcome.UNDONE, 0) for undoing in undoings) or None


def _sum(progress: Progress, *outcomes: Outcome) -> int:
    return sum(progress.counts.get(outcome, 0) for outcome in outcomes)


def run_of(preview: LinkingJob) -> LinkingJob | None:
    """Return the job that ran a preview, if one did."""
    return LinkingJob.objects.filter(pk=run_id_of(preview.pk)).first()


def _run(job: LinkingJob, _: UUID, given: Mapping[str, Any]) -> LinkingJob:
    return _submit(run_id_of(job.pk), run_request(job.pk, given["max_relinks"]), job.source)


def _preview(job: LinkingJob, new_id: UUID, _: Mapping[str, Any]) -> LinkingJob:
    return _submit(new_id, preview_request(job.pk), job.source)


def _retry(job: LinkingJob, new_id: UUID, _: Mapping[str, Any]) -> LinkingJob:
    return _submit(new_id, retry_request(job.pk), job.source)


def _preview_undo(job: LinkingJob, new_id: UUID, _: Mapping[str, Any]) -> LinkingJob:
    return jobs.submit_undo(new_id, job.pk, dry_run=True)


def _undo(job: LinkingJob, new_id: UUID, _: Mapping[str, Any]) -> LinkingJob:
    return jobs.submit_undo(new_id, job.pk)


def _submit(job_id: UUID, order: LinkRequest, source: str) -> LinkingJob:
    try:
        return jobs.submit(job_id, order)
    finally:  # A refused job is in the ledger, too.
        LinkingJob.objects.filter(pk=job_id, digest=order.digest).update(source=source)


def _cancel(job: LinkingJob, _: UUID, __: Mapping[str, Any]) -> LinkingJob:
    return jobs.cancel(job.pk)


ACTIONS = {
    button.name: button
    for button in (
        Action(
            name="run",
            label="Run it",
            permission=RUN,
            question="{count} of {total} learners would be linked by what this preview has shown. Run it for real?",
            concerned=_to_run,
            press=_run,
            form=RunForm,
        ),
        Action(
            name="retry",
            label="Retry failed",
            permission=RUN,
            question="{count} of {total} learners failed. Try to link them again, as a new job?",
            concerned=_to_retry,
            press=_retry,
        ),
        Action(
            name="preview",
            label="Dry run",
            permission=RUN,
            question="Find out what would happen to the {count} learners of this job now? Nothing is changed.",
            concerned=_to_preview,
            press=_preview,
        ),
        Action(
            name="preview-undo",
            label="Dry run of undo",
            permission=UNDO,
            question="{count} of {total} learners were changed. Find out what undoing would do? Nothing is changed.",
            concerned=_to_undo,
            press=_preview_undo,
        ),
        Action(
            name="undo",
            label="Undo",
            permission=UNDO,
            question=(
                "This job changed {count} of {total} learners. Give each back what it had before, where nothing has"
                " changed it since?"
            ),
            concerned=_to_undo,
            press=_undo,
            warns=True,
        ),
        Action(
            name="cancel",
            label="Cancel",
            permission=RUN,
            question="{count} of {total} learners are still open. Cancel them? Whoever is linked stays linked.",
            concerned=_to_cancel,
            press=_cancel,
            needs_broker=False,  # Stopping a job must work above all.
            warns=True,
        ),
    )
}


def initial(job: LinkingJob, new_id: UUID) -> dict[str, Any]:
    """Return what a form that asks back begins with."""
    return {"job_id": new_id, "max_relinks": settings.LINKING_IMPORT_MAX_RELINKS}
