"""Celery's settings, each with its reason. The names are Celery's own, in lower case."""

import os
import ssl

from kombu.utils.url import parse_url

# --- Broker -----------------------------------------------------------------------------------------------------------
broker_url = os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0")
if broker_url.startswith("rediss:"):
    # Without options kombu would take any certificate; and Flower reads them here, not in the URL.
    broker_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED, **parse_url(broker_url).get("ssl", {})}
elif broker_url.startswith("amqps:"):
    # Without options nobody would compare names. None: kombu puts the name of the broker's host in.
    broker_use_ssl = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}
broker_connection_retry_on_startup = True  # A worker that starts before its broker waits for it.
broker_transport_options = {
    # Seconds after which Redis hands an unacknowledged message to another worker: above task_time_limit, or a slow
    # task would run twice at once. Work in the ledger is recovered by resume_stalled_jobs; this is for a request whose
    # worker died before the ledger knew of it. It holds for the whole Redis database: give the worker one of its own.
    "visibility_timeout": 90,
    # Seconds between looks for such messages, and looks per scan (kombu's defaults make 100 s of it).
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
}

# --- Results ----------------------------------------------------------------------------------------------------------
_backend = os.environ.get("CELERY_RESULT_BACKEND", "django-db")
result_backend = "worker.celery.backend:LedgerBackend" if _backend == "django-db" else _backend
result_backend_always_retry = True  # A result that a restarting database refused is stored when it is back.
result_extended = True  # Task name and worker beside each result; the arguments are redacted (worker/celery/).
result_expires = 7 * 24 * 3600  # Seconds: long enough for a caller that looks after the weekend.

# Celery's Django fixup would close the database connection before and after each task: opening one costs PostgreSQL
# more than a small slice does; worker/celery/application.py renews those that are old or broken. (Django reads it.)
CELERY_DB_REUSE_MAX = 2**31

# --- Serialization: JSON and nothing else -----------------------------------------------------------------------------
task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]
result_accept_content = ["json"]

# --- Delivery ---------------------------------------------------------------------------------------------------------
task_acks_late = True  # A message leaves the broker only when its work is committed.
task_reject_on_worker_lost = True  # A killed pool child gives its message back at once.
worker_prefetch_multiplier = 1  # No worker hoards slices that another could run.
worker_cancel_long_running_tasks_on_connection_loss = False  # What is running commits; its redelivery finds it done.
worker_soft_shutdown_timeout = 60.0  # Seconds that a stopping worker gives the slices in hand.

worker_consumer = "worker.celery.consumer:ValidatingConsumer"  # A message that no task can take ends no worker.

# --- Limits, in seconds -----------------------------------------------------------------------------------------------
task_time_limit = 80  # A slice gives up the processor after 20 (worker/jobs/slices.py); this is for what hangs.
worker_max_memory_per_child = 280_000  # KiB resident: a child above it is replaced after its task.

# --- Beat -------------------------------------------------------------------------------------------------------------
beat_schedule = {
    "resume-stalled-jobs": {
        "task": "linking.resume_stalled_jobs",
        "schedule": 30.0,  # Seconds.
        "options": {"expires": 30},  # Without workers, one is enough when they are back.
    },
}

# --- What others see --------------------------------------------------------------------------------------------------
task_track_started = False  # A redelivered message would put STARTED over a stored result.
worker_send_task_events = True  # Flower.
task_send_sent_event = False  # It would carry the arguments as the sender wrote them.

timezone = "UTC"
enable_utc = True
