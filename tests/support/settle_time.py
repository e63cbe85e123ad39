"""Loaded into a worker (``celery -I``): files in the inbox are claimed 0.2 seconds after they changed."""

from worker.imports import folder

folder.SETTLE_SECONDS = 0.2
