"""Undo learners one by one, as the platform would.

The platform has no undo. A course enrollment goes back from its state to that before the learner, in the way in which
the platform makes such a change. One that did not exist is left as by an unlinking.
"""

from collections.abc import Sequence

from common.djangoapps.student.models import CourseAccessRole, CourseEnrollment
from django.db import transaction

from tests.support.recording_lms.enrolling import Change, changes, modes_of


def undo(keys: Sequence[str]) -> None:
    """Undo learners, in the order of their keys."""
    for key in keys:
        with transaction.atomic():
            for change in reversed(changes[key]):
                _revoke(change) if change.role else _restore(change)


def _revoke(change: Change) -> None:
    CourseAccessRole.objects.get(user=change.user, course_id=change.course_key, role=change.role).delete()


def _restore(change: Change) -> None:
    row = CourseEnrollment.objects.get(user=change.user, course_id=change.course_key)
    if change.before is None:
        mode = "audit" if "audit" in modes_of(change.course_key) else None
        row.update_enrollment(is_active=False, mode=mode, skip_refund=True)
        return
    was_active, mode = change.before
    if not was_active:
        row.update_enrollment(is_active=False, mode=mode, skip_refund=True)
    elif not row.is_active:
        CourseEnrollment.enroll(change.user, change.course_key, mode=mode)
    elif row.mode != mode:
        row.mode = mode
        row.save()
