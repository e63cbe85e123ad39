"""Grades are calculated again for another mode."""

from typing import Any

from common.djangoapps.student.signals import ENROLLMENT_TRACK_UPDATED
from django.dispatch import receiver

from tests.support.recording_lms.recording import RecordedTask

recalculate_course_and_subsection_grades_for_user = RecordedTask("recalculate_course_and_subsection_grades_for_user")


@receiver(ENROLLMENT_TRACK_UPDATED)
def recalculate_course_and_subsection_grades(user: Any, course_key: Any, countdown: int, **_: Any) -> None:
    recalculate_course_and_subsection_grades_for_user.apply_async(
        kwargs={"user_id": user.id, "course_key": str(course_key)}, countdown=countdown
    )
