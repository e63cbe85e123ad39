"""URLs: Django's admin and the HTTP API. Health checks and metrics are in :mod:`worker.web.health`."""

from django.contrib import admin
from django.urls import path

from worker.web.api.application import api
from worker.web.home import redirect_home

urlpatterns = [path("", redirect_home), path("admin/", admin.site.urls), path("api/", api.urls)]
