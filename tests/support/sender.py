"""Loaded into a worker (``celery -I``): it sends as another user of Redis, whose permissions a test can remove."""

import os

from worker.celery import app

app.conf.update(broker_write_url=os.environ["TESTS_SENDER_URL"])
