"""Where the pages are: Django's admin, the way in for people."""

from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
