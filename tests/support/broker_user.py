"""Loaded into a worker (``celery -I``): it writes to Redis as a user whose permissions a test can remove."""

import os

from worker.celery import app

app.conf.update(broker_write_url=os.environ["TESTS_BROKER_WRITE_URL"])
