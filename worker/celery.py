"""The Celery application."""

import os

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "worker.settings")

app = Celery("program-linking")
app.config_from_object("celeryconfig")
app.autodiscover_tasks(["worker"])


@signals.setup_logging.connect
def leave_logging_to_django(**_: object) -> None:
    """Keep Celery's hands off the log: Django's LOGGING holds for the worker too, and keeps learners out of it."""
