"""The Celery application."""

import gc
import os

from celery import Celery, signals
from celery.schedules import crontab
from django.conf import settings
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "worker.settings")

app = Celery("program-linking", task_cls="worker.celery.request:RequeueingTask")
app.config_from_object("celeryconfig")
app.autodiscover_tasks(["worker"])


@app.on_after_configure.connect
def schedule_the_night(sender: Celery, **_: object) -> None:
    """Have beat ask for the import and the purge; here, and not in ``celeryconfig``, since the settings tell when."""
    hour, minute = settings.LINKING_IMPORT_AT
    sender.add_periodic_task(
        crontab(hour=str(hour), minute=str(minute)), sender.signature("linking.import_inbox"), name="import-inbox"
    )
    sender.add_periodic_task(
        crontab(hour="4", minute="30"), sender.signature("linking.purge_expired_jobs"), name="purge-expired-jobs"
    )


@signals.setup_logging.connect
def leave_logging_to_django(**_: object) -> None:
    """Keep Celery's hands off the log: Django's LOGGING holds for the worker too, and keeps learners out of it."""


@signals.task_prerun.connect
def renew_connections(**_: object) -> None:
    """Close connections that are old or broken, as Django does before each request; the others are used again."""
    close_old_connections()


@signals.worker_process_init.connect
def collect_garbage_less_often(**_: object) -> None:
    """Look for cyclic garbage after 50,000 new objects, not 700: a slice makes tens of thousands, and none in cycles.

    What is loaded by now lives as long as the process and is never looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@signals.worker_init.connect
def show_that_the_worker_lives(**_: object) -> None:
    """Touch the file ``LINKING_HEARTBEAT`` every 2 s, for as long as the worker is connected to its broker."""
    signals.heartbeat_sent.connect(_touch_heartbeat)


@signals.beat_init.connect
def show_that_beat_lives(**_: object) -> None:
    """Touch the file ``LINKING_HEARTBEAT`` whenever the broker has taken a task from the schedule."""
    signals.after_task_publish.connect(_touch_heartbeat)


def _touch_heartbeat(**_: object) -> None:
    if settings.LINKING_HEARTBEAT:
        settings.LINKING_HEARTBEAT.touch()


BROKER_TIMEOUT = 2
"""Seconds that the broker gets to accept a connection."""


def check_broker() -> None:
    """Connect to the broker, before something begins that needs it.

    Raises:
        kombu.exceptions.OperationalError: it does not answer.
    """
    timeouts = {"socket_connect_timeout": BROKER_TIMEOUT, "socket_timeout": BROKER_TIMEOUT}  # Redis has no other.
    with app.connection_for_write(connect_timeout=BROKER_TIMEOUT, transport_options=timeouts) as connection:
        connection.ensure_connection(max_retries=1, timeout=BROKER_TIMEOUT)
