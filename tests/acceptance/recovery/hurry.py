"""Loaded into a worker (``celery -I``): what hangs is ended after two seconds. The worker's own option does not count.

``task_time_limit`` in ``celeryconfig.py`` has precedence over ``--time-limit``.
"""

from worker.celery import app

app.conf.task_time_limit = 2
