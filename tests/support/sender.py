"""Loaded into a worker (``celery -I``): it sends by another user of Redis than it receives by, who can be silenced."""

import os

from worker.celery import app

app.conf.update(broker_write_url=os.environ["TESTS_SENDER_URL"])
