"""Celery: the application, and what we change of its consumer, requests, tasks and results."""

from worker.celery.application import app
