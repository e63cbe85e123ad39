"""The Celery application of the recording LMS, for ``celery -A``: its workers run the task of the plug-in."""

from importlib import import_module

from tests.support.recording_lms.start import start

start()
app = import_module("lms.celery").APP
