"""Django's settings of an LMS with the plug-in; ``DATABASE_URL`` names its database."""

import os
import sys

from program_linking_lms.settings.common import plugin_settings

from tests.support.living_lms.settings import *  # noqa: F403 - the database, and what follows from it

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "simple_history",
    "openedx_events",
    "waffle",
    "common.djangoapps.student",
    "common.djangoapps.course_modes",
    "common.djangoapps.entitlements",
    "openedx.core.djangoapps.content.course_overviews",
    "openedx.core.djangoapps.django_comment_common",
    "openedx.core.djangoapps.schedules",
    "openedx.core.djangoapps.verified_track_content",
    "openedx.core.djangoapps.waffle_utils",
    "lms.djangoapps.certificates",
    "lms.djangoapps.grades",
    "lms.djangoapps.program_enrollments",
    "tests.support.recording_lms",
    "program_linking_lms",
]
MIGRATION_MODULES = dict.fromkeys(["contenttypes", "auth", "waffle"])  # Their tables are the LMS's.
CACHES = {"default": {"BACKEND": "tests.support.recording_lms.recording.RecordingCache"}}
OPEN_EDX_FILTERS_CONFIG = {}
EVENT_BUS_PRODUCER_CONFIG = {}
SERVICE_VARIANT = os.environ.get("SERVICE_VARIANT", "lms")
RETIRED_USERNAME_PREFIX = "retired__user_"
PROGRAM_LINKING_BROKER_URL = os.environ.get("PROGRAM_LINKING_BROKER_URL", "")
plugin_settings(sys.modules[__name__])
