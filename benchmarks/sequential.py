"""Contestant A: one learner after the other, plain ORM, a save per row, a transaction per learner.

Statement for statement what Open edX does: users and program enrollments of the mapping are fetched beforehand, course
enrollments one by one; a new one is created inactive in the default mode and then activated. What else an LMS does when
a course enrollment changes (history rows, mail, analytics) is left out, and so this is quicker than an LMS is.
"""

import logging
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models.functions import Lower
from django.utils import timezone

from linking import messages
from linking.api import CourseEnrollmentException, NonExistentCourseError
from linking.models import (
    CourseAccessRole,
    CourseEnrollment,
    CourseMode,
    CourseOverview,
    ProgramCourseEnrollment,
    ProgramEnrollment,
)

log = logging.getLogger("linking.learners")

GRANTABLE_ROLES = frozenset({"staff"})


def link_program_enrollments(program_uuid: UUID, external_keys_to_usernames: Mapping[str, str]) -> dict[str, str]:
    """Link a mapping, one learner after the other; return the error dictionary."""
    users = {user.username: user for user in User.objects.filter(username__in=set(external_keys_to_usernames.values()))}
    enrollments = (
        ProgramEnrollment.objects.alias(folded=Lower("external_user_key"))
        .filter(program_uuid=program_uuid, folded__in={key.lower() for key in external_keys_to_usernames})
        .select_related("user")
        .prefetch_related("program_course_enrollments")
        .order_by("id")
    )
    by_key = {str(enrollment.external_user_key).lower(): enrollment for enrollment in enrollments}
    errors = {}
    for key, username in external_keys_to_usernames.items():
        error = _link_learner(program_uuid, key, username, users.get(username), by_key.get(key.lower()))
        if error:
            log.warning(error)
            errors[key] = error
    return errors


def _link_learner(
    program_uuid: UUID, key: str, username: str, user: User | None, enrollment: ProgramEnrollment | None
) -> str:
    if user is None:
        return messages.NO_LMS_USER_TEMPLATE.format(username=username)
    if enrollment is None:
        return messages.NO_PROGRAM_ENROLLMENT_TEMPLATE.format(program_uuid=program_uuid, external_user_key=key)
    if enrollment.user == user:
        return messages.EXISTING_USER_TEMPLATE.format(
            external_user_key=enrollment.external_user_key, account_relation="target", username=username
        )
    try:
        with transaction.atomic():
            if enrollment.user is not None:
                log.info(
                    messages.RELINK_TEMPLATE.format(external_user_key=enrollment.external_user_key, username=username)
                )
                _unlink(enrollment)
            _link(enrollment, user)
    except (CourseEnrollmentException, IntegrityError) as error:
        return messages.describe(error)
    return ""


def _unlink(enrollment: ProgramEnrollment) -> None:
    for course in enrollment.program_course_enrollments.all():
        taken = course.course_enrollment
        if taken is None:
            continue
        taken.is_active = False
        if _offers_audit(taken.course_id):
            taken.mode = "audit"
        taken.save()
        course.course_enrollment = None
        course.save()
    enrollment.user = None
    enrollment.save()


def _offers_audit(course_key: Any) -> bool:
    modes = CourseMode.objects.filter(course_id=course_key)
    now = timezone.now()
    unexpired = {mode.mode_slug for mode in modes if mode.expiration_datetime is None or mode.expiration_datetime > now}
    return not modes or "audit" in unexpired


def _link(enrollment: ProgramEnrollment, user: User) -> None:
    enrollment.user = user
    enrollment.save()
    for course in enrollment.program_course_enrollments.all():
        course.course_enrollment = _enroll_in_masters_track(user, course)
        course.save()
        for assignment in course.courseaccessroleassignment_set.all():
            if user.is_active and assignment.role in GRANTABLE_ROLES:
                org = course.course_key.org or ""
                CourseAccessRole.objects.get_or_create(
                    user=user, org=org, course_id=course.course_key, role=assignment.role
                )
                assignment.delete()


def _enroll_in_masters_track(user: User, course: ProgramCourseEnrollment) -> CourseEnrollment:
    if not CourseOverview.objects.filter(id=course.course_key).exists():
        raise NonExistentCourseError
    taken = CourseEnrollment.objects.filter(user=user, course_id=course.course_key).first()
    if taken is None:
        taken, _ = CourseEnrollment.objects.get_or_create(
            user=user, course_id=course.course_key, defaults={"mode": "audit", "is_active": False}
        )
    if not taken.is_active or taken.mode in {"audit", "honor"}:
        taken.is_active, taken.mode = True, "masters"
    if taken.mode == "masters" and course.status == ProgramCourseEnrollment.Status.INACTIVE:
        taken.is_active = False
    taken.save()
    return taken
