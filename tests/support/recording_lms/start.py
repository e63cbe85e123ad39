"""Start the recording LMS in this process."""

import os
import sys
from importlib import import_module
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = (ROOT / "tests" / "support" / "platform", ROOT / "lms")
"""Folders of the stand-ins and of the plug-in, which hide the folder ``lms`` of the repository."""
RECEIVERS = (
    "common.djangoapps.student.signals.receivers",
    "common.djangoapps.entitlements.signals",
    "lms.djangoapps.certificates.signals",
    "lms.djangoapps.grades.signals.handlers",
    "openedx.core.djangoapps.django_comment_common.models",
    "openedx.core.djangoapps.schedules.signals",
    "openedx.core.djangoapps.verified_track_content.models",
)
"""Modules of the platform that connect receivers."""


def start() -> None:
    """Set Django up, with the platform's receivers and those that record; make the missing tables."""
    sys.path[:0] = [str(folder) for folder in FOLDERS if str(folder) not in sys.path]
    os.environ["DJANGO_SETTINGS_MODULE"] = "standin_settings"
    import_module("lms.celery")  # Else Celery reads the worker's celeryconfig.py.
    django.setup()
    for module in RECEIVERS:
        import_module(module)
    from tests.support.recording_lms import receivers  # noqa: PLC0415 - models need Django to be set up

    receivers.connect()
    make_tables()


def make_tables() -> None:
    """Make the tables that the schema of the LMS in ``tests/support/lms`` does not have."""
    from common.djangoapps.student.models import UserProfile  # noqa: PLC0415 - as above
    from django.core.management import call_command  # noqa: PLC0415 - as above
    from django.db import connection  # noqa: PLC0415 - as above
    from openedx.core.djangoapps.waffle_utils import models as overrides  # noqa: PLC0415 - as above
    from waffle.models import Flag  # noqa: PLC0415 - as above

    from tests.support.recording_lms.models import Record  # noqa: PLC0415 - as above

    tables = connection.introspection.table_names()
    with connection.schema_editor() as editor:
        for model in (
            UserProfile,
            Record,
            Flag,
            overrides.WaffleFlagCourseOverrideModel,
            overrides.WaffleFlagOrgOverrideModel,
        ):
            if model._meta.db_table not in tables:  # noqa: SLF001 - Django's documented API
                editor.create_model(model)
    call_command("migrate", "program_linking_lms", verbosity=0)
