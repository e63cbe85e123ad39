"""Celery's settings and their reasons. The names are Celery's own, in lower case."""

import os
import ssl
from typing import Any

from django.conf import settings

from worker.broker_urls import tls_options
from worker.celery import queues
from worker.queue_names import RECOVERY, TASKS

# --- Broker -----------------------------------------------------------------------------------------------------------
broker_url: str = os.environ.get("CELERY_BROKER_URL") or settings.CELERY_BROKER_URL
if _tls := tls_options(broker_url):
    broker_use_ssl = _tls
broker_connection_retry_on_startup = True  # A worker that starts before its broker waits for it.
_sentinel: dict[str, Any] = {
    "master_name": settings.LINKING_SENTINEL_MASTER,
    "sentinel_kwargs": {
        "socket_timeout": 2,  # Seconds: the next Sentinel answers if this one does not.
        "username": settings.LINKING_SENTINEL_USERNAME or None,
        "password": settings.LINKING_SENTINEL_PASSWORD or None,
    },
}
broker_transport_options: dict[str, Any]
if broker_url.startswith(("amqp", "pyamqp")):
    broker_transport_options = {"confirm_publish": True}  # A message is sent when RabbitMQ has it, not before.
else:
    broker_transport_options = {
        # Seconds until Redis redelivers an unacknowledged message: above task_time_limit, or a slow task would run
        # twice at once. Redelivery is needed for a request whose worker was killed before the ledger contained it;
        # later, resume_stalled_jobs recovers the job.
        "visibility_timeout": 90,
        # Seconds between checks for such messages, and checks per scan (100 s in total with kombu's defaults).
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        # Keys of our own: the time applies to all messages under them. A neighbour in the same Redis database keeps its
        # own time, and gets its own messages.
        "unacked_key": f"{TASKS}.unacked",
        "unacked_index_key": f"{TASKS}.unacked_index",
        "unacked_mutex_key": f"{TASKS}.unacked_mutex",
        # Seconds: a server that accepts connections and does not answer is noticed.
        "socket_timeout": 5,
        "socket_connect_timeout": 4,
        "socket_keepalive": True,
        "health_check_interval": 10,
        **(_sentinel if broker_url.startswith("sentinel:") else {}),
    }
control_exchange = TASKS  # A neighbour's `celery control shutdown` must not reach our workers.
event_exchange = event_queue_prefix = f"{TASKS}.celeryev"  # Its Flower does not show our tasks, nor ours its.

# --- Queues (worker/celery/queues.py) ---------------------------------------------------------------------------------
# A worker without -Q consumes all of them, in turns. Callers send requests to the first and declare it: RabbitMQ would
# refuse another declaration of a classic queue here, with priorities. Therefore the slices of large jobs and the
# sweeper have queues of their own.
task_queues = queues.task_queues()
task_default_queue = task_default_exchange = task_default_routing_key = TASKS

# --- Results ----------------------------------------------------------------------------------------------------------
_backend = settings.CELERY_RESULT_BACKEND
result_backend = "worker.celery.backend:LedgerBackend" if _backend == "django-db" else _backend
if _backend.startswith("rediss:"):
    redis_backend_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}  # Options in the URL override it.
override_backends = {
    **dict.fromkeys(("redis", "rediss"), "worker.celery.backend:LedgerRedisBackend"),
    "sentinel": "worker.celery.backend:LedgerSentinelBackend",
}
if _backend.startswith("sentinel:"):
    result_backend_transport_options = _sentinel
redis_socket_timeout = 5  # Seconds; see broker_transport_options.
redis_socket_connect_timeout = 4
redis_socket_keepalive = True
result_backend_always_retry = True  # Store a result when a restarting database is available again.
result_extended = True  # Store the task name and the worker with each result; arguments are redacted (worker/celery/).
result_expires = 7 * 24 * 3600  # Seconds: a caller may fetch a result after the weekend.

# Celery's Django fixup would close the database connection before and after each task. Opening one costs PostgreSQL
# more than a small slice; worker/celery/application.py replaces connections that are old or broken.
CELERY_DB_REUSE_MAX = 2**31

# --- Serialization: only JSON -----------------------------------------------------------------------------------------
task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]
result_accept_content = ["json"]

# --- Delivery ---------------------------------------------------------------------------------------------------------
task_acks_late = True  # Acknowledge a message only when its work is committed.
task_reject_on_worker_lost = True  # Requeue the message of a killed pool child at once.
worker_prefetch_multiplier = 1  # Do not reserve slices that another worker could run.
worker_cancel_long_running_tasks_on_connection_loss = False  # It commits; its redelivery finds it done.
worker_soft_shutdown_timeout = 60.0  # Seconds that a stopping worker waits for its running slices.

worker_consumer = "worker.celery.consumer:ValidatingConsumer"  # An invalid message must not end the worker.

# --- Limits, in seconds -----------------------------------------------------------------------------------------------
task_time_limit = 80  # A slice yields its process after 20 (worker/jobs/slices.py); this limit ends tasks that hang.
worker_max_memory_per_child = 280_000  # KiB resident: a larger pool child is replaced after its task.

# --- Beat -------------------------------------------------------------------------------------------------------------
beat_schedule = {
    "resume-stalled-jobs": {
        "task": "linking.resume_stalled_jobs",
        "schedule": 30.0,  # Seconds.
        # If no worker runs, do not queue more than one.
        "options": {"expires": 30, "queue": RECOVERY},
    },
}

# --- Events and states ------------------------------------------------------------------------------------------------
task_track_started = False  # A redelivered message would replace a stored result by STARTED.
worker_send_task_events = True  # For Flower.
task_send_sent_event = False  # Its events contain the sender's arguments, unredacted.

timezone = "UTC"
enable_utc = True
