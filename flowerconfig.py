"""Flower's settings, each with its reason. The names are Flower's own; it reads this file where it is started.

Its options in the environment (``FLOWER_…``) hold where nothing is said here, those on the command line above both.
"""

import os
from typing import Any

from tornado.options import options

if not (options.basic_auth or options.auth):
    msg = "FLOWER_BASIC_AUTH is not set: expected user:password, or several by commas. Who is let in sends tasks."
    raise SystemExit(msg)

address = os.environ.get("FLOWER_ADDRESS", "127.0.0.1")  # Whoever comes from elsewhere comes by a proxy with TLS.
persistent = False  # What it knows of tasks is gone with it: the ledger is what is kept.
max_tasks = 10_000  # In memory, some 2 KB each.
purge_offline_workers = 3600  # Seconds; a worker that is started again has a new name in a container.
tasks_columns = "name,uuid,state,received,started,runtime,worker,retries"  # Neither arguments nor results.
# Seconds. A slice gives its processor back after 20 and is ended after 80 (celeryconfig.py).
task_runtime_metric_buckets = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0]


def format_task(task: Any) -> Any:
    """Show a task without arguments and result, whatever its events say: the second fence, behind the worker's own."""
    task.args = task.kwargs = task.result = None
    return task
