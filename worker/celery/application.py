"""The Celery application."""

import gc
import os
import time
import warnings
from typing import Any

from celery import Celery, signals
from celery.exceptions import CPendingDeprecationWarning
from celery.schedules import crontab
from django.conf import settings
from django.db import close_old_connections, connection

from worker.broker_urls import by_redis_protocol
from worker.celery import transport
from worker.celery.messages import DELIVER
from worker.celery.waiting import is_on_rabbitmq, seconds_until

if url := os.environ.get("CELERY_BROKER_URL"):
    os.environ["CELERY_BROKER_URL"] = by_redis_protocol(url)  # Celery reads the variable, and not only our settings.


class LinkingCelery(Celery):
    """Celery with the result backend that ``celeryconfig.py`` chooses.

    Celery itself reads the variable CELERY_RESULT_BACKEND first: for ``django-db`` it would take a backend that does
    not ask the ledger.
    """

    @property
    def backend_cls(self) -> str:  # type: ignore[override] # Celery only reads it.
        """The class, or the URL, of the result backend."""
        return str(self.conf["result_backend"])

    def send_task(  # type: ignore[override] # The other arguments are Celery's.
        self, name: str, args: Any = None, kwargs: Any = None, countdown: Any = None, eta: Any = None, **options: Any
    ) -> Any:
        """Send a task; on RabbitMQ one with an ETA waits in a queue of its own, and not in a worker."""
        if (countdown or eta) and is_on_rabbitmq(self) and not options.get("exchange"):
            options["wait"] = seconds_until(eta) if eta else countdown + 0.0
            countdown = eta = None
        return super().send_task(name, args, kwargs, countdown, eta, **options)


transport.register()
app = LinkingCelery(
    "program-linking", task_cls="worker.celery.request:RequeueingTask", amqp="worker.celery.messages:JsonAMQP"
)
app.config_from_object("celeryconfig")
app.autodiscover_tasks(["worker"])

BROKER_TIMEOUT = 2
"""Seconds that the broker gets to accept a connection."""


DELIVERY_INTERVAL = 10.0
"""Seconds between two deliveries of events that beat starts."""
CHECK_INTERVAL = 1.0
"""Seconds for which a connection to the database is used without a check."""

_checked = -CHECK_INTERVAL
"""Time on the monotonic clock of the last check in this process."""


def check_broker() -> None:
    """Connect to the broker, before something begins that needs it.

    Raises:
        kombu.exceptions.OperationalError: it does not answer.
    """
    timeouts = {"socket_connect_timeout": BROKER_TIMEOUT, "socket_timeout": BROKER_TIMEOUT}  # Redis has no other.
    with app.connection_for_write(connect_timeout=BROKER_TIMEOUT, transport_options=timeouts) as connection:
        connection.ensure_connection(max_retries=1, timeout=BROKER_TIMEOUT)


@app.on_after_configure.connect
def schedule_nightly_tasks(sender: Celery, **_: object) -> None:
    """Schedule import and purge: here and not in ``celeryconfig``, since the time is a setting."""
    hour, minute = map(str, settings.LINKING_IMPORT_AT)
    for task, schedule in (("import_inbox", crontab(minute, hour)), ("purge_expired_jobs", crontab("30", "4"))):
        sender.add_periodic_task(schedule, sender.signature(f"linking.{task}"), name=task.replace("_", "-"))
    if settings.LINKING_EVENTS:
        # If no worker runs, do not queue more than one.
        deliver = sender.signature(DELIVER).set(queue=f"{settings.LINKING_QUEUE}.events", expires=DELIVERY_INTERVAL)
        sender.add_periodic_task(DELIVERY_INTERVAL, deliver, name="deliver-events")


@signals.setup_logging.connect
def leave_logging_to_django(**_: object) -> None:
    """Stop Celery from configuring logging: Django's LOGGING keeps learners out of the worker's log."""


@signals.worker_ready.connect  # Before, Celery would override the filter.
def ignore_warnings_about_settings(**_: object) -> None:
    """Ignore the warning that Celery 6 changes the default of a setting that ``celeryconfig.py`` has on purpose.

    Celery warns whenever the broker is lost while ``worker_cancel_long_running_tasks_on_connection_loss`` is off.
    """
    warnings.filterwarnings("ignore", r"\s*In Celery 5\.1 we introduced", CPendingDeprecationWarning)


@signals.task_prerun.connect
def renew_connections(**_: object) -> None:
    """Close connections that are old or broken, as Django does before each request; the others are reused.

    A task that begins soon after another one skips the check, a statement; if the connection broke meanwhile, the task
    is retried.
    """
    global _checked  # noqa: PLW0603 - of this process
    now = time.monotonic()
    if now - _checked > CHECK_INTERVAL or connection.errors_occurred:
        close_old_connections()
        _checked = now


@signals.worker_init.connect
def refuse_an_lms_that_differs(**_: object) -> None:
    """Do not start on tables of an LMS that differ from what linking needs."""
    if settings.LINKING_LMS:
        from worker.lms.differences import refuse_to_start  # noqa: PLC0415 - Django is set up by now

        refuse_to_start()


@signals.worker_process_init.connect
def collect_garbage_less_often(**_: object) -> None:
    """Collect cyclic garbage after 50,000 new objects, not 700: a slice makes tens of thousands, and none in cycles.

    Objects that exist now live as long as the process and are exempt.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@signals.worker_init.connect
def touch_heartbeat_while_connected(**_: object) -> None:
    """Touch ``LINKING_HEARTBEAT`` every 2 s while the worker is connected to its broker."""
    signals.heartbeat_sent.connect(_touch_heartbeat)


@signals.beat_init.connect
def touch_heartbeat_after_publishing(**_: object) -> None:
    """Touch ``LINKING_HEARTBEAT`` whenever the broker has accepted a scheduled task."""
    signals.after_task_publish.connect(_touch_heartbeat)


def _touch_heartbeat(**_: object) -> None:
    if settings.LINKING_HEARTBEAT:
        settings.LINKING_HEARTBEAT.touch()
