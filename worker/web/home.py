"""The way to the jobs: the first address, and the home of the admin."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect

LAST = ("django_celery_results", "linking_results", "linking")
"""Applications whose tables are for looking up only: the last sections of the home."""


class LinkingAdminSite(admin.AdminSite):
    """Django's admin with the sections of its home in the order of their use."""

    site_header = site_title = "Program linking"
    index_title = "Jobs and tables"
    site_url = None  # There are no pages outside the admin.
    enable_nav_sidebar = False  # Leaves the width of the page to the bars.
    index_template = "admin/worker/index.html"

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return the variables of each page."""
        return {**super().each_context(request), "has_lms_accounts": settings.LINKING_LMS}

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the page that changes a password, unless the account is the LMS's."""
        if settings.LINKING_LMS:
            msg = "Passwords are changed in the LMS."
            raise Http404(msg)
        return super().password_change(request, extra_context)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the sections: jobs, users, results, and the tables of linking."""
        places = {"worker": -1} | {name: place for place, name in enumerate(LAST, 1)}
        return sorted(super().get_app_list(request, app_label), key=lambda app: places.get(app["app_label"], 0))


def redirect_home(request: HttpRequest) -> HttpResponseRedirect:
    """Redirect to the jobs; a user who may not view them, to the admin's home."""
    user = request.user
    is_refused = user.is_authenticated and not user.has_perm("worker.view_linkingjob")
    return redirect("admin:index" if is_refused else "admin:worker_linkingjob_changelist")
