"""Flower's settings and their reasons. Flower reads this file from its working directory; the names are Flower's own.

A setting here overrides the environment variable ``FLOWER_…``; a command-line option overrides both.
"""

import os
from typing import Any

from tornado.options import options

if not (options.basic_auth or options.auth):
    msg = "FLOWER_BASIC_AUTH is not set: expected user:password,user:password,… Flower's users can send tasks."
    raise SystemExit(msg)

address = os.environ.get("FLOWER_ADDRESS", "127.0.0.1")  # Remote access goes through a proxy with TLS.
persistent = False  # Flower forgets tasks when it stops; the ledger keeps them.
max_tasks = 10_000  # Tasks in memory, about 2 KB each.
purge_offline_workers = 3600  # Seconds. In a container, a restarted worker has a new name.
tasks_columns = "name,uuid,state,received,started,runtime,worker,retries"  # Neither arguments nor results.
# Seconds. A slice yields its process after 20 and is killed after 80 (celeryconfig.py).
task_runtime_metric_buckets = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0]


def format_task(task: Any) -> Any:
    """Remove arguments and result from a task, in case a worker's events contain them despite its redaction."""
    task.args = task.kwargs = task.result = None
    return task
