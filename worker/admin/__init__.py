"""The pages for people: Django's admin with linking jobs, their learners, uploads and buttons.

Django imports this package, as every application's ``admin``; what is registered is in ``jobs`` and ``tables``.
"""

from django.contrib import admin

from worker.admin import jobs, tables

__all__ = ("jobs", "tables")

admin.site.site_header = admin.site.site_title = "Program linking"
admin.site.index_title = "Jobs and tables"
admin.site.site_url = None  # There are no other pages to view.
admin.site.enable_nav_sidebar = False  # Bars want to be wide.
