"""Processing of an event: once, in a transaction with the note that it was processed."""

import logging
from datetime import timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone
from edx_django_utils.cache import RequestCache

from program_linking_lms.enrollments import ChangedEnrollment, delete_caches
from program_linking_lms.events import Event
from program_linking_lms.models import ProcessedEvent
from program_linking_lms.roles import announce_role
from program_linking_lms.users import is_retired

log = logging.getLogger(__name__)

PURGED_AT_ONCE = 10_000
"""Most ids that are removed at a time."""


def process(event: Event) -> bool:
    """Do what an event causes; return False if it was done before.

    The receivers of the LMS write to the database in the same transaction: of a process that is killed nothing is left,
    and another one that has the same event waits until this one ends.

    Raises:
        Exception: a repetition helps.
    """
    with transaction.atomic():
        if not ProcessedEvent.objects.get_or_create(pk=event.id)[1]:
            return False
        RequestCache.clear_all_namespaces()  # Receivers expect a request; the former event is not in this one's.
        _process(event)
    return True


def _process(event: Event) -> None:
    user = get_user_model().objects.select_related("profile").filter(pk=event.user_id).first()
    if user is None:
        log.warning("event %s: there is no user %s any more", event.id, event.user_id)
    elif is_retired(user):
        # Receivers would write rows about a person whose data the LMS has removed.
        delete_caches(user, event.course_key)
        log.info("event %s: user %s was retired", event.id, event.user_id)
    elif event.role is not None:
        announce_role(event, user)
    else:
        ChangedEnrollment(event, user).announce()


def purge() -> int:
    """Remove ids of events that were processed long ago; return their number."""
    before = timezone.now() - timedelta(days=settings.PROGRAM_LINKING_KEEP_DAYS)
    old = ProcessedEvent.objects.filter(processed__lt=before).order_by("processed")
    ids = list(old.values_list("pk", flat=True)[:PURGED_AT_ONCE])
    ProcessedEvent.objects.filter(pk__in=ids).delete()
    return len(ids)
