"""Loaded into a worker (``celery -I``): a file in the inbox has stopped growing after an instant."""

from worker.imports import inbox

inbox.SETTLED_AFTER = 0.2
