"""Actions on a job: the permission that each needs, the question that confirms it, and the code that performs it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from worker import jobs
from worker.admin.confirmations import ConfirmForm, HigherLimitForm, RunForm
from worker.admin.marks import undone_by
from worker.admin.pauses import PauseJobForm, is_held, pause_job, resume_job
from worker.exceptions import JobRefusedError
from worker.jobs import Progress
from worker.jobs.derived import preview_request, retry_request, run_id_of, run_request
from worker.jobs.request import LinkRequest
from worker.models import LinkingJob

VIEW, RUN, UNDO = "worker.view_linkingjob", "worker.run_linkingjob", "worker.undo_linkingjob"
"""Permissions; RUN and UNDO are needed beside VIEW."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """An action on a job, which its user confirms first."""

    name: str  # In the URL.
    label: str
    question: str  # On the confirmation page; {count} of {total} learners are affected.
    count: Callable[[LinkingJob, Progress], int]  # Learners affected; the action is offered unless it is 0.
    # Performs the action on a job with the id of a new job and the fields of the form, and `user`, the user's name;
    # returns the job to show next: the changed one or the new one, refused or not, whose id is the given one except for
    # that of a run.
    perform: Callable[[LinkingJob, UUID, Mapping[str, Any]], LinkingJob]
    permission: str = RUN
    form: type[ConfirmForm] = ConfirmForm
    needs_broker: bool = True  # The action is refused while the broker is away.
    is_destructive: bool = False  # The button warns by its colour.


def _count_run(job: LinkingJob, progress: Progress) -> int:
    is_open = job.kind == LinkingJob.Kind.DRY_RUN and job.state == LinkingJob.State.DONE and _is_repeatable(job)
    return progress.changed if is_open and run_of(job) is None else 0


def _count_refused(job: LinkingJob, _: Progress) -> int:
    is_open = job.state == LinkingJob.State.REFUSED and _is_repeatable(job)
    return job.total if is_open and run_of(job) is None else 0


def _run(job: LinkingJob, _: UUID, fields: Mapping[str, Any]) -> LinkingJob:
    return _submit(run_id_of(job.pk), run_request(job.pk, fields["max_relinks"]), job)


def _submit(job_id: UUID, request: LinkRequest, origin: LinkingJob) -> LinkingJob:
    """Write a job made from ``origin`` into the ledger and return it, also if it was refused."""
    try:
        return jobs.submit(job_id, request, source=origin.source)
    except JobRefusedError:
        return LinkingJob.objects.get(pk=job_id)


def _count_undo(job: LinkingJob, progress: Progress) -> int:
    if not _is_repeatable(job) or job.dry_run or not progress.changed:
        return 0
    return progress.changed - undone_by(job.undoings.without_dry_runs())


_ACTIONS = (
    Action(
        name="run",
        label="Run it",
        question="{count:,} of {total:,} learners would be linked according to this dry run. Run it for real?",
        count=_count_run,
        perform=_run,
        form=RunForm,
    ),
    Action(
        name="raise",
        label="Run with a higher limit",
        question="This job of {total:,} learners was refused. Run it again with a higher limit?",
        count=_count_refused,
        perform=_run,
        form=HigherLimitForm,
    ),
    Action(
        name="retry",
        label="Retry failed",
        question="{count:,} of {total:,} learners failed. Try to link them again, as a new job?",
        count=lambda job, progress: progress.failed if _is_repeatable(job) and not job.dry_run else 0,
        perform=lambda job, new_id, _: _submit(new_id, retry_request(job.pk), job),
    ),
    Action(
        name="preview",
        label="Dry run",
        question="Find out what linking the {count:,} learners of this job would do now? Nothing is changed.",
        count=lambda job, _: job.total if _is_repeatable(job) else 0,
        perform=lambda job, new_id, _: _submit(new_id, preview_request(job.pk), job),
    ),
    Action(
        name="preview-undo",
        label="Dry run of undo",
        question="{count:,} of {total:,} learners were changed. Find out what undo would do now? Nothing is changed.",
        count=_count_undo,
        perform=lambda job, new_id, _: jobs.submit_undo(new_id, job.pk, dry_run=True),
        permission=UNDO,
    ),
    Action(
        name="undo",
        label="Undo",
        question="This job changed {count:,} of {total:,} learners. Undo it, except for those changed again since?",
        count=_count_undo,
        perform=lambda job, new_id, _: jobs.submit_undo(new_id, job.pk),
        permission=UNDO,
        is_destructive=True,
    ),
    Action(
        name="pause",
        label="Pause",
        question="{count:,} of {total:,} learners are still open. Pause this job? They wait until it is resumed.",
        count=lambda job, progress: 0 if job.is_final or is_held(job) else job.total - progress.done,
        perform=lambda job, _, fields: pause_job(job, fields["reason"], fields["user"]),
        form=PauseJobForm,
        needs_broker=False,
    ),
    Action(
        name="resume",
        label="Resume",
        question="This job is paused. Let its {count:,} open learners of {total:,} be linked?",
        count=lambda job, progress: job.total - progress.done if not job.is_final and is_held(job) else 0,
        perform=lambda job, _, fields: resume_job(job, fields["user"]),
    ),
    Action(
        name="cancel",
        label="Cancel",
        question="{count:,} of {total:,} learners are still open. Cancel them? Learners that are linked stay linked.",
        count=lambda job, progress: 0 if job.is_final else job.total - progress.done,
        perform=lambda job, *_: jobs.cancel(job.pk),
        needs_broker=False,  # A job can be stopped whatever else is broken.
        is_destructive=True,
    ),
)
ACTIONS = {action.name: action for action in _ACTIONS}
"""Actions by name, in the order of their buttons."""


def run_of(job: LinkingJob) -> LinkingJob | None:
    """Return the job that ran what a dry run has shown, or that ran a refused job again; None if there is none."""
    return LinkingJob.objects.filter(pk=run_id_of(job.pk)).first()


def _is_repeatable(job: LinkingJob) -> bool:
    return job.is_final and job.purged is None and job.undoes_id is None
