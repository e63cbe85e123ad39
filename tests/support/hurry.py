"""Loaded into a worker (``celery -I``): a slice that hangs is ended after two seconds.

Tasks have taken ``task_time_limit`` over from the settings by now, and it has precedence over the worker's option.
"""

from worker.tasks import link_learners

link_learners.time_limit = 2
