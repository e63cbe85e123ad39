"""The pages of a job: how far it is, its learners, its report, and the way to the buttons."""

import logging
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.debug import sensitive_post_parameters
from kombu.exceptions import OperationalError as BrokerError

from linking.bulk import Outcome
from worker import jobs
from worker.admin.actions import ACTIONS, RUN, Action, initial, run_of
from worker.admin.charts import share
from worker.admin.job_list import FOLDER, JobListAdmin
from worker.admin.labels import address_of, changes, list_of, name_of, outcomes, progress_context
from worker.admin.learners import LearnerForm, LearnerPage, find_learners
from worker.admin.uploads import UploadForm
from worker.celery.application import check_broker
from worker.exceptions import JobError, JobRefusedError
from worker.jobs.reports import report_lines
from worker.jobs.summary import summary
from worker.models import LinkingJob
from worker.tasks import answer, send_job

log = logging.getLogger(__name__)

NO_BROKER = "The broker does not answer: nothing was done. Try again when it is back."
SENT_LATER = "The broker has stopped answering: the job is recorded, and taken up by itself when it is back."


if TYPE_CHECKING:
    from collections.abc import Callable


@admin.register(LinkingJob)
class LinkingJobAdmin(JobListAdmin):
    """The ledger, to look at; what can be done with a job is done by its buttons."""

    # --- The pages of a job -------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """Return the addresses of the list, of a job's pages and of the upload."""
        pages: dict[str, tuple[Callable[..., HttpResponseBase], str]] = {
            "<path:object_id>/change/": (self.job_view, "change"),
            "<path:object_id>/progress/": (self.progress_view, "progress"),
            "<path:object_id>/learners/": (self.learners_view, "learners"),
            "<path:object_id>/report/": (self.report_view, "report"),
            "<path:object_id>/do/<slug:name>/": (self.button_view, "button"),
            "upload/": (self.upload_view, "upload"),
        }
        ours = [
            path(route, self.admin_site.admin_view(view), name=f"worker_linkingjob_{name}")
            for route, (view, name) in pages.items()
        ]
        return [*ours, *super().get_urls()]

    def _viewed(self, request: HttpRequest, object_id: str, *permissions: str) -> LinkingJob:
        """Return the job of a page that the user may see and, with ``permissions``, do something on."""
        if not (self.has_view_permission(request) and request.user.has_perms(permissions)):
            raise PermissionDenied
        try:
            job = self.get_object(request, unquote(object_id))
        except ValidationError:
            job = None
        if job is None:
            msg = f"there is no job {object_id}"
            raise Http404(msg)
        return job

    def job_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show a job: how far it is, what became of its learners, what can be done with it."""
        job = self._viewed(request, object_id)
        progress = jobs.progress_of([job])[job.pk]
        preview = job.dry_run and job.undoes_id is None
        context = {
            **progress_context(job, progress),
            "buttons": [
                button
                for button in ACTIONS.values()
                if request.user.has_perm(button.permission) and button.concerned(job, progress)
            ],
            "run": run_of(job) if preview and job.is_final else None,
            "preview": preview,
            "summary": (numbers := summary(job)),
            "changes": changes(numbers),
            "last_actions": self._last_actions(job),
            **self._learners_context(job, LearnerForm(), find_learners(job)),
        }
        return self._page(request, "job", name_of(job), job, context)

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Tell a page how far its job is."""
        job = self._viewed(request, object_id)
        progress = jobs.progress_of([job])[job.pk]
        return JsonResponse(
            {
                "state": progress.state,
                "final": progress.is_final,
                "total": progress.total,
                "done": progress.done,
                "counts": progress.counts,
                "html": render_to_string(f"{FOLDER}/progress.html", progress_context(job, progress)),
            }
        )

    def learners_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show learners of a job; what is looked for comes by POST, but for an outcome, which names nobody."""
        return sensitive_post_parameters("text")(self._learners_view)(request, object_id)

    def _learners_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        job = self._viewed(request, object_id)
        given = request.POST if request.method == "POST" else {"outcome": request.GET.get("outcome", "")}
        form = LearnerForm(given)
        page = find_learners(job, **form.cleaned_data) if form.is_valid() else LearnerPage(learners=[], next_after=None)
        return self._page(
            request, "learners", f"Learners of {name_of(job)}", job, self._learners_context(job, form, page)
        )

    def report_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Send a job's learners as CSV while they are read."""
        job = self._viewed(request, object_id)
        self.log_change(request, job, "Report downloaded.")
        return StreamingHttpResponse(
            report_lines(job.pk),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="linking-{job.pk}.csv"'},
        )

    def _learners_context(self, job: LinkingJob, form: LearnerForm, page: LearnerPage) -> dict[str, Any]:
        return {"job": job, "form": form, "page": page, "searched": form.is_bound}

    def _last_actions(self, job: LinkingJob) -> Any:
        from django.contrib.admin.models import LogEntry  # noqa: PLC0415 - a table: only once the applications are ready

        entries = LogEntry.objects.filter(content_type__app_label="worker", object_id=str(job.pk))
        return entries.select_related("user").order_by("-action_time")[:10]

    def _page(
        self, request: HttpRequest, template: str, title: str, job: LinkingJob | None, context: dict[str, Any]
    ) -> TemplateResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "title": title, "job": job}
        if job is not None:
            shared["job_name"] = name_of(job)
        return TemplateResponse(request, f"{FOLDER}/{template}.html", {**shared, "media": self.media, **context})

    # --- Doing something ----------------------------------------------------------------------------------------------

    def button_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Ask back, then do what a button says."""
        button = ACTIONS.get(name)
        if button is None:
            msg = f"there is no button {name}"
            raise Http404(msg)
        job = self._viewed(request, object_id, button.permission)
        progress = jobs.progress_of([job])[job.pk]
        form = button.form(request.POST if request.method == "POST" else None, initial=initial(job, uuid4()))
        if form.is_valid():
            return self._press(request, button, job, form.cleaned_data)
        concerned = button.concerned(job, progress)
        if concerned is None:
            messages.info(request, f"{button.label}: there is nothing to do for this job (it is {job.state}).")
            return redirect(address_of(job))
        question = button.question.format(count=f"{concerned:,}", total=f"{job.total:,}")
        relinked = progress.counts.get(Outcome.RELINKED, 0)
        context = {
            "button": button,
            "question": question,
            "form": form,
            "relinked": relinked,
            "relinked_share": share(relinked, job.total),
            **outcomes(progress),
        }
        return self._page(request, "confirm", button.label, job, context)

    def _press(self, request: HttpRequest, button: Action, job: LinkingJob, given: dict[str, Any]) -> HttpResponse:
        try:
            if button.needs_broker:
                check_broker()
            shown = button.press(job, given["job_id"], given)
        except BrokerError:
            messages.error(request, NO_BROKER)
            return redirect(address_of(job))
        except JobRefusedError as error:
            self.log_change(request, job, f"{button.label}: refused. {error}")
            messages.error(request, str(error))
            return redirect(address_of(job))
        except (JobError, ValueError) as error:
            messages.error(request, str(error))
            return redirect(address_of(job))
        if shown.pk == job.pk:
            self.log_change(request, job, f"{button.label}.")
        else:
            self.log_change(request, job, f"{button.label}: job {shown.pk}.")
            self.log_addition(request, shown, f"{button.label} of job {job.pk}.")
        self._send(request, shown)
        return redirect(address_of(shown))

    def _send(self, request: HttpRequest, job: LinkingJob) -> None:
        """Send what is to be done for a job that the ledger has: should that fail, recovery does it."""
        try:
            if job.is_final:
                answer(job.pk)
            else:
                send_job(job)
        except Exception:  # What a broker that goes away makes kombu raise is not always kombu's own.
            log.exception("job %s could not be sent; it is taken up again", job.pk)
            messages.warning(request, SENT_LATER)

    def upload_view(self, request: HttpRequest) -> HttpResponse:
        """Take a mapping as a file and find out what linking it would do."""
        if not (self.has_view_permission(request) and request.user.has_perm(RUN)):
            raise PermissionDenied
        posted = request.method == "POST"
        form = UploadForm(
            request.POST if posted else None, request.FILES if posted else None, initial={"upload_id": uuid4()}
        )
        if form.is_valid():
            try:
                check_broker()
                with transaction.atomic():
                    found = [jobs.submit(job_id, order) for job_id, order in form.orders.items()]
                    LinkingJob.objects.filter(pk__in=form.orders).update(source=form.source)
            except BrokerError:
                form.add_error(None, NO_BROKER)
            except JobError as error:
                form.add_error(None, str(error))
            else:
                for job in found:
                    self.log_addition(request, job, f"Uploaded for a preview: {form.source}.")
                    self._send(request, job)
                return redirect(address_of(found[0]) if len(found) == 1 else list_of(form.source))
        return self._page(request, "upload", "Upload a mapping", None, {"form": form})
