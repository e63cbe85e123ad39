"""Loaded into a worker (``celery -I``): a file in the inbox is claimed if it did not change for an instant."""

from worker.imports import folder

folder.SETTLE_SECONDS = 0.2
