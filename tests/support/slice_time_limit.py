"""Loaded into a worker (``celery -I``): the time limit of a slice is two seconds.

Tasks have copied ``task_time_limit`` from the settings by now; it has precedence over the worker's option.
"""

from worker.tasks import link_learners

link_learners.time_limit = 2
