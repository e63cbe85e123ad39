"""URLs: Django's admin. Health checks and metrics are in :mod:`worker.web.health`."""

from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
