"""The list of jobs, each with its progress, and who may see it."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from worker import jobs
from worker.admin import labels
from worker.admin.actions import RUN
from worker.models import LinkingJob

FOLDER = "admin/worker/linkingjob"
"""Of the templates."""

if TYPE_CHECKING:
    JobAdmin = admin.ModelAdmin[LinkingJob]
else:
    JobAdmin = admin.ModelAdmin  # Its type takes a parameter, the class itself does not.


class JobList(ChangeList):
    """A page of jobs, each with its progress: one query more, however many jobs are under way."""

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the page's jobs and how far they are."""
        super().get_results(request)
        found: list[Any] = list(self.result_list)
        progress = jobs.progress_of(found)
        for job in found:
            job.progress = progress[job.pk]
        self.result_list = found


class KindFilter(admin.SimpleListFilter):
    """Jobs that change something, previews, and those that take back."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, *_: object) -> list[tuple[str, str]]:
        """Return the choices."""
        return [("link", "link"), ("preview", "dry run"), ("undo", "undo")]

    def queryset(self, _: HttpRequest, found: Any) -> Any:
        """Return the jobs of the kind chosen."""
        match self.value():
            case "link":
                return found.without_dry_runs().filter(undoes=None)
            case "preview":
                return found.filter(options__dry_run=True)
            case "undo":
                return found.exclude(undoes=None)
        return found


class JobListAdmin(JobAdmin):
    """Jobs as the admin lists them; nobody writes, changes or deletes one by hand."""

    list_display = ("job", "kind", "state_shown", "progress_shown", "outcomes", "learners", "asked_for", "took")
    list_display_links = ("job",)
    list_filter = ("state", KindFilter, "created")
    search_fields = ("id", "program_uuid", "source")
    search_help_text = "Job id, program UUID or file name. Learners are looked for on their job's page."
    ordering = ("-created",)
    list_per_page = 25
    show_full_result_count = False
    actions = None
    change_list_template = f"{FOLDER}/change_list.html"

    class Media:
        css = {"all": ("worker/jobs.css",)}  # noqa: RUF012 - as Django has it

    # --- Who may what -------------------------------------------------------------------------------------------------

    def has_add_permission(self, _: HttpRequest) -> bool:
        """Nobody writes a job by hand."""
        return False

    def has_change_permission(self, _: HttpRequest, __: LinkingJob | None = None) -> bool:
        """Nobody changes a job by hand."""
        return False

    def has_delete_permission(self, _: HttpRequest, __: LinkingJob | None = None) -> bool:
        """Nobody deletes a job by hand."""
        return False

    def has_view_permission(self, request: HttpRequest, _: LinkingJob | None = None) -> bool:
        """Tell whether the user may see jobs and their learners."""
        return request.user.has_perm("worker.view_linkingjob")

    # --- The list -----------------------------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that knows progress."""
        return JobList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list."""
        context = {"may_upload": request.user.has_perm(RUN), "title": "Linking jobs"}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    @admin.display(description="job", ordering="created")
    def job(self, job: LinkingJob) -> SafeString:
        """Show which job."""
        return format_html(
            '<span class="job-name">{}</span><span class="quiet" title="{}">program {}…</span>',
            labels.name_of(job),
            job.program_uuid,
            str(job.program_uuid)[:8],
        )

    @admin.display(description="kind")
    def kind(self, job: LinkingJob) -> str:
        """Show what the job is for."""
        return job.kind.value

    @admin.display(description="state", ordering="state")
    def state_shown(self, job: LinkingJob) -> SafeString:
        """Show the state."""
        return format_html('<span class="state state-{}">{}</span>', job.state, job.state)

    @admin.display(description="progress")
    def progress_shown(self, job: Any) -> str:
        """Show how much of the job is done."""
        return render_to_string(f"{FOLDER}/progress_bar.html", {"progress": job.progress, **labels.done(job.progress)})

    @admin.display(description="outcomes")
    def outcomes(self, job: Any) -> str:
        """Show what became of the learners."""
        return render_to_string(f"{FOLDER}/outcome_bar.html", labels.outcomes(job.progress))

    @admin.display(description="learners", ordering="total")
    def learners(self, job: LinkingJob) -> str:
        """Show how many learners the job has."""
        return f"{job.total:,}"

    @admin.display(description="asked for", ordering="created")
    def asked_for(self, job: LinkingJob) -> str:
        """Show when the job was asked for."""
        return f"{job.created:%Y-%m-%d %H:%M}"

    @admin.display(description="took")
    def took(self, job: LinkingJob) -> str:
        """Show how long the job took."""
        return labels.took(job)
