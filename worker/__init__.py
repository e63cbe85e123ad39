"""The asynchronous worker around linking: jobs, their ledger, and the ways in and out."""

from worker.celery import app as celery_app
