"""Entitlements lose a course enrollment that ends."""

from typing import Any

from django.dispatch import receiver

from common.djangoapps.student.signals import UNENROLL_DONE
from tests.support.recording_lms.recording import note


@receiver(UNENROLL_DONE)
def unenroll_entitlement(course_enrollment: Any, *, skip_refund: bool, **_: Any) -> None:
    note(course_enrollment.user.id, "entitlement", course=course_enrollment.course_id, skip_refund=skip_refund)
