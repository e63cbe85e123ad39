"""Django's admin with linking jobs, their learners and actions, uploads, and the tables of linking."""

from django.contrib import admin

from worker.admin import job_admin, tables

__all__ = ("job_admin", "tables")

admin.site.site_header = admin.site.site_title = "Program linking"
admin.site.index_title = "Jobs and tables"
admin.site.site_url = None  # There are no pages outside the admin.
admin.site.enable_nav_sidebar = False  # Leaves the width of the page to the bars.
