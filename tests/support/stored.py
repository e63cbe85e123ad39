"""Read rows after a run."""

from django.contrib.auth.models import User

from linking.models import CourseAccessRole, CourseAccessRoleAssignment, CourseEnrollment, ProgramEnrollment


def user_of(enrollment: ProgramEnrollment) -> str | None:
    """Return the username that a program enrollment is linked to now."""
    enrollment.refresh_from_db()
    return enrollment.user.username if enrollment.user else None


def enrolled(user: User) -> dict[str, tuple[str, bool]]:
    """Return ``{course: (mode, is_active)}`` of every course enrollment of ``user``."""
    rows = CourseEnrollment.objects.filter(user=user)
    return {str(row.course_id): (row.mode, row.is_active) for row in rows}


def roles_of(user: User) -> set[tuple[str, str, str]]:
    """Return ``(org, course, role)`` of every course role of ``user``."""
    return {(row.org, str(row.course_id), row.role) for row in CourseAccessRole.objects.filter(user=user)}


def assignments_left() -> set[tuple[str, str]]:
    """Return ``(course, role)`` of every role assignment that is still there."""
    rows = CourseAccessRoleAssignment.objects.select_related("enrollment")
    return {(str(row.enrollment.course_key), row.role) for row in rows}
