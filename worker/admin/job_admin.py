"""The ModelAdmin of linking jobs: their list, their URLs, and no way to edit a job by hand."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from worker import jobs
from worker.admin import labels, views
from worker.admin.charts import outcome_bar, progress_bar
from worker.admin.marks import marks_of, undoings_by_job
from worker.admin.programs import names_by_program
from worker.admin.tables import BoundedPaginator, ReadOnlyAdmin
from worker.jobs.ids import id_range
from worker.models import InboxFile, LinkingJob, ProgramName

VIEWS: dict[str, tuple[Callable[..., HttpResponseBase], str]] = {
    "<path:job_id>/change/": (views.job_view, "change"),
    "<path:job_id>/progress/": (views.progress_view, "progress"),
    "<path:job_id>/learners/": (views.learners_view, "learners"),
    "<path:job_id>/report/": (views.report_view, "report"),
    "<path:job_id>/do/<slug:name>/": (views.action_view, "button"),
    "upload/": (views.upload_view, "upload"),
    "pauses/": (views.pauses_view, "pauses"),
}
"""Views and the names of their URLs, by route."""


class KindFilter(admin.SimpleListFilter):
    """Filter of jobs by kind; dry runs of undo are in both."""

    title = parameter_name = "kind"
    queries = {  # noqa: RUF012 - a constant
        "link": Q(undoes=None, options__dry_run=False),
        "preview": Q(options__dry_run=True),
        "undo": Q(undoes__isnull=False),
    }

    def lookups(self, *_: object) -> list[tuple[str, str]]:
        return [("link", "link"), ("preview", "dry run"), ("undo", "undo")]

    def queryset(self, _: HttpRequest, found: Any) -> Any:
        return found.filter(self.queries.get(self.value() or "", Q()))


@admin.register(LinkingJob)
class LinkingJobAdmin(ReadOnlyAdmin):
    """Linking jobs: they can be viewed, and changed by actions only."""

    list_display = ("job", "kind", "state_shown", "progress_shown", "outcomes", "learners", "submitted", "took")
    list_display_links = ("job",)
    list_filter = ("state", KindFilter, "created")
    search_fields = ("source",)  # Shows the search box; get_search_results searches.
    search_help_text = (
        "Job id or its first digits, program (UUID or name), or file name. To find a learner, open the job."
    )
    paginator = BoundedPaginator
    ordering = ("-created",)
    list_per_page = 25
    change_list_template = f"{views.TEMPLATES}/change_list.html"

    class Media:
        css = {"all": ("worker/jobs.css",), "(max-width: 767px)": ("worker/phone.css",)}  # noqa: RUF012 - Django's way

    def get_urls(self) -> list[URLPattern]:
        urls = [
            path(route, self.admin_site.admin_view(view), {"model_admin": self}, name=f"worker_linkingjob_{name}")
            for route, (view, name) in VIEWS.items()
        ]
        return [*urls, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list with progress, undoings, pauses and program names of its jobs, and what is left in the inbox.

        That is a few more queries, however many jobs there are.
        """
        response = super().changelist_view(request, {"title": "Linking jobs", **(extra_context or {})})
        context = response.context_data if isinstance(response, TemplateResponse) else None
        if context and "cl" in context:
            found = context["cl"].result_list
            progress, undoings = jobs.progress_by_job(found), undoings_by_job(found)
            held = jobs.pauses_by_job(found)
            names = names_by_program(job.program_uuid for job in found)
            for job in found:
                job.program_name = names.get(job.program_uuid, "")
                job.progress = progress[job.pk]
                job.marks = marks_of(job, job.progress, undoings[job.pk], is_paused=job.pk in held)
            context["left"] = InboxFile.objects.filter(state=InboxFile.State.LEFT).order_by("name")
        return response

    def get_search_results(self, _: HttpRequest, found: Any, text: str) -> tuple[Any, bool]:
        """Search by exact values, each along an index: a search for parts of them would read all jobs."""
        text = text.strip()
        if not text:
            return found, False
        if ids := id_range(text):
            by_id = found.filter(pk__range=ids)
            return by_id if by_id.exists() else found.filter(program_uuid__range=ids), False
        programs = list(ProgramName.objects.filter(name__iexact=text).values_list("pk", flat=True))
        return found.filter(program_uuid__in=programs) if programs else found.filter(source=text), False

    # --- Columns of the list ------------------------------------------------------------------------------------------

    @admin.display(description="job", ordering="created")
    def job(self, job: Any) -> SafeString:
        return format_html(
            '<span class="job-name">{}</span><span class="quiet" title="{}">{}</span>',
            labels.job_label(job),
            job.program_uuid,
            job.program_name or f"program {labels.short_id(job.program_uuid)}…",
        )

    state_shown = admin.display(
        lambda _, job: render_to_string(f"{views.TEMPLATES}/state.html", {"job": job, "marks": job.marks}),
        description="state",
        ordering="state",
    )
    progress_shown = admin.display(
        lambda _, job: render_to_string(f"{views.TEMPLATES}/progress_bar.html", progress_bar(job.progress)),
        description="progress",
    )
    outcomes = admin.display(
        lambda _, job: render_to_string(f"{views.TEMPLATES}/outcome_bar.html", outcome_bar(job.progress)),
        description="outcomes",
    )
    learners = admin.display(lambda _, job: f"{job.total:,}", description="learners", ordering="total")
    submitted = admin.display(
        lambda _, job: f"{job.created:%Y-%m-%d %H:%M}", description="submitted", ordering="created"
    )
    took = admin.display(lambda _, job: labels.duration(job), description="took")
