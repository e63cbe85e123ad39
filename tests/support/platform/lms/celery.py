"""The LMS's Celery application: its workers run the tasks of plug-ins, too."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "standin_settings")
APP = Celery("proj")
APP.conf.update(
    broker_url=os.environ.get("CELERY_BROKER_URL"),
    task_default_queue="edx.lms.core.default",
    broker_connection_retry_on_startup=True,
)
APP.set_default()
APP.autodiscover_tasks()
