"""Entries of the inbox that are not imported: hidden files, folders, names that do not end in ``.csv``.

They stay where they are. The nightly import reports them: once a night in the log, and above the list of jobs until
they are gone.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from linking.bulk import advisory_lock
from worker.imports.submission import storable_name
from worker.models import InboxFile

log = logging.getLogger(__name__)

REPORT_INTERVAL = timedelta(hours=12)
"""Minimum time between two log records about an entry: a night's import may run several times."""
MAX_ENTRIES = 100
"""Maximum entries that are recorded."""
MAX_NAMED = 20
"""Maximum entries that a log record names."""


def report_left(entries: Mapping[str, str]) -> None:
    """Record the entries that are left in the inbox, each with the reason; log those not logged tonight."""
    found = {storable_name(name): reason for name, reason in sorted(entries.items())[:MAX_ENTRIES]}
    now = timezone.now()
    with transaction.atomic():
        advisory_lock("entries left in the inbox")
        rows = InboxFile.objects.filter(state=InboxFile.State.LEFT)
        rows.exclude(name__in=found).delete()
        known = set(rows.values_list("name", flat=True))
        logged = set(rows.filter(finished__gt=now - REPORT_INTERVAL).values_list("name", flat=True))
        due = [name for name in found if name not in logged]
        rows.filter(name__in=due).update(finished=now)
        InboxFile.objects.bulk_create(
            InboxFile(name=name, state=InboxFile.State.LEFT, message=reason, finished=now)
            for name, reason in found.items()
            if name not in known
        )
    if due:
        named = [f"{name!r} ({found[name]})" for name in due[:MAX_NAMED]]
        more = f" and {len(entries) - MAX_NAMED} more" if len(due) > MAX_NAMED else ""
        log.warning("left in the inbox, not imported: %s%s", ", ".join(named), more)
