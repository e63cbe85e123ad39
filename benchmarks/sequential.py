"""Variant A: one learner after the other, plain ORM, a save per row, a transaction per learner.

It executes the same statements as Open edX: it fetches the users and program enrollments of the mapping beforehand, and
course enrollments one by one; it creates a course enrollment inactive in the default mode and then activates it. It is
faster than an LMS, which also writes history rows, mail and analytics when a course enrollment changes.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
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

if TYPE_CHECKING:
    from django.db.models import QuerySet

log = logging.getLogger("linking.learners")

GRANTABLE_ROLES = frozenset({"staff"})


def link_program_enrollments(program_uuid: UUID, external_keys_to_usernames: Mapping[str, str]) -> dict[str, str]:
    """Link a mapping, one learner after the other; return the error dictionary."""
    users = {user.username: user for user in User.objects.filter(username__in=set(external_keys_to_usernames.values()))}
    enrollments = (
        _with_keys({key.lower() for key in external_keys_to_usernames})
        .filter(program_uuid=program_uuid)
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


def _with_keys(keys: set[str]) -> "QuerySet[ProgramEnrollment]":
    if connection.vendor == "mysql":  # Its index has the keys themselves, in a collation that ignores case.
        return ProgramEnrollment.objects.filter(external_user_key__in=keys)
    return ProgramEnrollment.objects.alias(folded=Lower("external_user_key")).filter(folded__in=keys)


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
        course_enrollment = course.course_enrollment
        if course_enrollment is None:
            continue
        course_enrollment.is_active = False
        if _offers_audit(course_enrollment.course_id):
            course_enrollment.mode = "audit"
        course_enrollment.save()
        course.course_enrollment = None
        course.save()
    enrollment.user = None
    enrollment.save()


def _offers_audit(course_key: Any) -> bool:
    modes = CourseMode.objects.filter(course_id=course_key).exclude(mode_slug="credit")
    now = timezone.now()
    unexpired = {mode.mode_slug for mode in modes if mode.expiration_datetime is None or mode.expiration_datetime > now}
    return not unexpired or "audit" in unexpired


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
    course_enrollment = CourseEnrollment.objects.filter(user=user, course_id=course.course_key).first()
    if course_enrollment is None:
        course_enrollment, _ = CourseEnrollment.objects.get_or_create(
            user=user, course_id=course.course_key, defaults={"mode": "audit", "is_active": False}
        )
    if not course_enrollment.is_active or course_enrollment.mode in {"audit", "honor"}:
        course_enrollment.is_active, course_enrollment.mode = True, "masters"
    if course_enrollment.mode == "masters" and course.status == ProgramCourseEnrollment.Status.INACTIVE:
        course_enrollment.is_active = False
    course_enrollment.save()
    return course_enrollment
