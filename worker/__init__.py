"""The asynchronous worker around linking: jobs, their ledger, and the ways in and out."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "worker.settings")  # Before the import, which reads settings.

from worker.celery import app as celery_app
