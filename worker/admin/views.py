"""The pages of jobs. Each view gets the ModelAdmin, whose ``get_urls`` registers it, as its last argument."""

import logging
from collections.abc import Sequence
from typing import Any, TypeAlias
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from kombu.exceptions import OperationalError as BrokerError

from linking.bulk import Outcome
from worker import dispatch, jobs
from worker.admin.actions import ACTIONS, RUN, VIEW, Action, run_of
from worker.admin.charts import outcome_bar, progress_bar
from worker.admin.confirmations import ConfirmForm
from worker.admin.labels import job_label, percentage, refusal_label
from worker.admin.learners import LearnerForm, LearnerPage, find_learners
from worker.admin.marks import marks_of, undoings_by_job
from worker.admin.pauses import change_pauses, context_of, notice_of_pauses
from worker.admin.programs import names_by_program
from worker.admin.uploads import UploadForm
from worker.celery.application import check_broker
from worker.exceptions import IdempotencyConflictError, JobError
from worker.jobs.reports import report_lines
from worker.jobs.selection import WARNED, select
from worker.jobs.summary import summary
from worker.models import LinkingJob

log = logging.getLogger(__name__)

JobAdmin: TypeAlias = "admin.ModelAdmin[LinkingJob]"
State = LinkingJob.State
TEMPLATES = "admin/worker/linkingjob"
"""Folder of the templates."""
JOB_PAGE = "admin:worker_linkingjob_change"
NO_BROKER = "The broker does not answer: nothing was done. Try again when it is back."
SENT_BEFORE = (
    "This form was sent before, for other learners or with other values: nothing was done. Open the page again."
)
NOT_SENT = "The broker does not answer any more. The job is recorded, and is sent when the broker is back."


# --- Pages that show a job --------------------------------------------------------------------------------------------


def job_view(request: HttpRequest, job_id: str, model_admin: JobAdmin) -> HttpResponse:
    """Show a job: its progress, the actions that are possible, its numbers, learners and history."""
    job = _find_job(request, job_id)
    undoings = undoings_by_job([job])[job.pk]
    context = _progress_context(job, undoings)
    permitted = [action for action in ACTIONS.values() if request.user.has_perm(action.permission)]
    history = LogEntry.objects.filter(content_type__app_label="worker", object_id=str(job.pk))
    context |= {
        "actions": [action for action in permitted if action.count(job, context["progress"])],
        "run": run_of(job) if job.is_final and (job.dry_run or job.state == State.REFUSED) else None,
        "undoings": undoings,
        # At worst this reads the learners once, and only where a person decides on a run.
        "has_warnings": _can_run(job) and select(job.learners.all(), WARNED).exists(),
        "program_name": names_by_program([job.program_uuid]).get(job.program_uuid),
        "summary": summary(job),
        "history": history.select_related("user").order_by("-action_time")[:10],
        "form": LearnerForm(),
        "page": find_learners(job),
    }
    return _page(request, model_admin, "job", job_label(job), context)


def _can_run(job: LinkingJob) -> bool:
    return job.kind == LinkingJob.Kind.DRY_RUN and job.state == State.DONE and job.purged is None


def progress_view(request: HttpRequest, job_id: str, model_admin: JobAdmin) -> HttpResponse:
    """Return a job's progress as JSON: for scripts as numbers, for its page as HTML."""
    context = _progress_context(_find_job(request, job_id))
    progress = context["progress"]
    return JsonResponse(
        {
            "state": context["job"].state,
            "final": context["job"].is_final,
            "total": progress.total,
            "done": progress.done,
            "counts": progress.counts,
            "html": render_to_string(f"{TEMPLATES}/progress.html", context),
        }
    )


@sensitive_post_parameters("text")
def learners_view(request: HttpRequest, job_id: str, model_admin: JobAdmin) -> HttpResponse:
    """Show learners of a job; the URL may have an outcome, which identifies no learner, but no text."""
    job = _find_job(request, job_id)
    form = LearnerForm(request.POST or {"outcome": request.GET.get("outcome", "")})
    page = find_learners(job, **form.cleaned_data) if form.is_valid() else LearnerPage(learners=[], next_after=None)
    context = {"job": job, "form": form, "page": page}
    return _page(request, model_admin, "learners", f"Learners of {job_label(job)}", context)


def report_view(request: HttpRequest, job_id: str, model_admin: JobAdmin) -> StreamingHttpResponse:
    """Stream a job's learners as CSV; on request those of a selection, or with an outcome."""
    job = _find_job(request, job_id)
    form = LearnerForm({"outcome": request.GET.get("outcome", "")})
    if not form.is_valid():
        msg = "there is no such selection of learners."
        raise Http404(msg)
    selection = form.cleaned_data["outcome"]
    model_admin.log_change(request, job, f"Report downloaded{selection and f' ({selection})'}.")
    name = f"linking-{job.pk}{selection and f'-{selection}'}.csv"
    return StreamingHttpResponse(
        report_lines(job.pk, selection),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _require(request: HttpRequest, *permissions: str) -> None:
    if not request.user.has_perms((VIEW, *permissions)):
        raise PermissionDenied


def _find_job(request: HttpRequest, job_id: str, *permissions: str) -> LinkingJob:
    """Return a job that the user may view and, with further ``permissions``, change."""
    _require(request, *permissions)
    try:
        return LinkingJob.objects.find(UUID(job_id))
    except (JobError, ValueError) as error:
        raise Http404(str(error)) from None


def _progress_context(job: LinkingJob, undoings: Sequence[LinkingJob] = ()) -> dict[str, Any]:
    progress, held = jobs.progress_of(job), list(jobs.pauses_by_job([job]).values())
    relinked = progress.counts.get(Outcome.RELINKED, 0)
    return {
        "job": job,
        "progress": progress,
        "marks": marks_of(job, progress, undoings, is_paused=bool(held)),
        "relinked": relinked,
        "relinked_share": percentage(relinked, job.total),
        **progress_bar(progress),
        **outcome_bar(progress),
        **context_of(held),
    }


def _page(
    request: HttpRequest, model_admin: JobAdmin, template: str, title: str, context: dict[str, Any]
) -> TemplateResponse:
    shared = {**model_admin.admin_site.each_context(request), "opts": model_admin.opts, "media": model_admin.media}
    return TemplateResponse(request, f"{TEMPLATES}/{template}.html", {**shared, "title": title, **context})


# --- Pages that change something --------------------------------------------------------------------------------------


def action_view(request: HttpRequest, job_id: str, name: str, model_admin: JobAdmin) -> HttpResponse:
    """Show the confirmation page of an action, or perform the action when it is confirmed."""
    action = ACTIONS.get(name)
    if action is None:
        msg = f"there is no action {name}."
        raise Http404(msg)
    job = _find_job(request, job_id, action.permission)
    form = action.form(request.POST or None, job=job)
    if form.is_valid() and (result := _perform(request, model_admin, action, form)):
        return redirect(JOB_PAGE, result.pk)
    context = _progress_context(job)
    count = action.count(job, context["progress"])
    if not count:
        if errors := form.non_field_errors():
            messages.error(request, " ".join(map(str, errors)))
        else:
            messages.info(request, f"{action.label}: there is nothing to do for this job (it is {job.state}).")
        return redirect(JOB_PAGE, job.pk)
    context |= {"action": action, "form": form, "question": action.question.format(count=count, total=job.total)}
    return _page(request, model_admin, "confirm", action.label, context)


def _perform(request: HttpRequest, model_admin: JobAdmin, action: Action, form: ConfirmForm) -> LinkingJob | None:
    """Perform an action; return the job to show next, or None with the error in the form."""
    job = form.job
    try:
        if action.needs_broker:
            check_broker()
        fields = form.cleaned_data | {"user": request.user.get_username()}
        result = action.perform(job, fields["job_id"], fields)
    except (BrokerError, JobError) as error:
        form.add_error(None, _explain(error))
        return None
    if result.pk == job.pk:
        model_admin.log_change(request, job, f"{action.label}.")
    elif result.state == State.REFUSED:
        model_admin.log_change(request, job, f"{action.label}: job {result.pk}, refused.")
        messages.error(request, f"Refused: {refusal_label(result)}")
        return result
    else:
        model_admin.log_change(request, job, f"{action.label}: job {result.pk}.")
        model_admin.log_addition(request, result, f"{action.label} of job {job.pk}.")
    _send(request, result)
    return result


def pauses_view(request: HttpRequest, model_admin: JobAdmin) -> HttpResponse:
    """Show what is paused, and pause or resume what was posted."""
    _require(request, RUN)
    form, done = change_pauses(request)
    return done or _page(
        request, model_admin, "pauses", "Pause and resume", {"form": form, **notice_of_pauses(request)}
    )


def upload_view(request: HttpRequest, model_admin: JobAdmin) -> HttpResponse:
    """Show the upload form, or submit the file that was sent: a dry run for each of its programs."""
    _require(request, RUN)
    form = UploadForm(request.POST or None, request.FILES or None)
    if form.is_valid():
        try:
            check_broker()
            with transaction.atomic():
                submitted = [
                    jobs.submit(job_id, requested, source=form.source) for job_id, requested in form.requests.items()
                ]
        except (BrokerError, JobError) as error:
            form.add_error(None, _explain(error))
            form.renew()
        else:
            for job in submitted:
                model_admin.log_addition(request, job, f"Uploaded for a dry run: {form.source}.")
                _send(request, job)
            if len(submitted) == 1:
                return redirect(JOB_PAGE, submitted[0].pk)
            return redirect(reverse("admin:worker_linkingjob_changelist", query={"q": form.source}))
    return _page(request, model_admin, "upload", "Upload a mapping", {"form": form})


def _explain(error: Exception) -> str:
    """Return an error in the words of the pages."""
    if isinstance(error, BrokerError):
        return NO_BROKER
    return SENT_BEFORE if isinstance(error, IdempotencyConflictError) else str(error)


def _send(request: HttpRequest, job: LinkingJob) -> None:
    """Send the messages of a job in the ledger; if that fails, recovery sends them later."""
    try:
        if job.is_final:
            dispatch.send_end(job)
        else:
            dispatch.dispatch(job)
    except Exception:  # A broker that goes away makes kombu raise more than its own errors.
        log.exception("job %s: messages not sent; recovery sends them later", job.pk)
        messages.warning(request, NOT_SENT)
