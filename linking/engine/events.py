"""Send the signals of a transaction after its commit."""

from collections.abc import Sequence

from django.db import connection, transaction
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from linking import models
from linking.engine.state import CourseEnrollment
from linking.signals import course_enrollment_changed


def send_on_commit(changed: Sequence[CourseEnrollment]) -> None:
    """Send ``course_enrollment_changed`` for each of ``changed`` once the transaction is committed."""
    if not changed or not course_enrollment_changed.has_listeners(models.CourseEnrollment):
        return

    def send() -> None:
        for row in changed:
            course_enrollment = models.CourseEnrollment(
                id=row.id,
                user_id=row.user_id,
                course_id=CourseKey.from_string(row.course_key),
                is_active=row.is_active,
                mode=row.mode,
                created=row.created or timezone.now(),
            )
            course_enrollment._state.adding = False  # noqa: SLF001 - as Django does for a row from the database
            course_enrollment._state.db = connection.alias  # noqa: SLF001
            # Django logs a receiver that raises, and calls the others.
            course_enrollment_changed.send_robust(
                models.CourseEnrollment,
                course_enrollment=course_enrollment,
                created=row.stored is None,
                skip_refund=row.skip_refund,
            )

    transaction.on_commit(send, robust=True)
