"""Celery's settings, each with its reason. The names are Celery's own, in lower case."""

import os

# --- Broker -----------------------------------------------------------------------------------------------------------
broker_url = os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0")
broker_connection_retry_on_startup = True  # A worker that starts before its broker waits for it.
broker_transport_options = {
    # Seconds after which Redis hands an unacknowledged message to another worker. It must exceed task_time_limit, or a
    # slow task would run twice at once; resume_stalled_jobs, not this, is what recovers lost work.
    "visibility_timeout": 3600,
}

# --- Results ----------------------------------------------------------------------------------------------------------
result_backend = os.environ.get("CELERY_RESULT_BACKEND", "django-db")
result_extended = True  # Task name and worker beside each result; the arguments are scrubbed (worker/requests.py).
result_expires = 7 * 24 * 3600  # Seconds: long enough for a caller that looks after the weekend.

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

# --- Limits, in seconds -----------------------------------------------------------------------------------------------
task_soft_time_limit = 900  # A slice takes about a second; this is for a database that hangs.
task_time_limit = 960  # Below the visibility timeout.
worker_max_memory_per_child = 280_000  # KiB resident: a child above it is replaced after its task.

# --- What others see --------------------------------------------------------------------------------------------------
task_track_started = False  # A redelivered message would put STARTED over a stored result.
worker_send_task_events = True  # Flower.
task_send_sent_event = False  # It would carry the arguments as the sender wrote them.

timezone = "UTC"
enable_utc = True
