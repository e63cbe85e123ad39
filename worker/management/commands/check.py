"""``manage.py check``, which beside an LMS looks at its tables, too."""

from typing import Any

from django.conf import settings
from django.core.management.commands import check


class Command(check.Command):
    """Django's command; beside an LMS it always checks the database, as with ``--database default``."""

    def handle(self, *app_labels: Any, **options: Any) -> None:
        if settings.LINKING_LMS:
            options["databases"] = options["databases"] or ["default"]
        super().handle(*app_labels, **options)
