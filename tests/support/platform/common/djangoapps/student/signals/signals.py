"""Signals of enrollments, and the events of roles."""

from typing import Any

from django.contrib.auth.models import User
from django.dispatch import Signal
from opaque_keys.edx.keys import CourseKey
from openedx_events.learning.data import CourseAccessRoleData, UserData, UserPersonalData
from openedx_events.learning.signals import COURSE_ACCESS_ROLE_ADDED, COURSE_ACCESS_ROLE_REMOVED

ENROLLMENT_TRACK_UPDATED = Signal()
UNENROLL_DONE = Signal()
ENROLL_STATUS_CHANGE = Signal()


def emit_course_access_role_added(user: User, course_id: CourseKey, org_key: str, role: str) -> None:
    COURSE_ACCESS_ROLE_ADDED.send_event(course_access_role_data=_data(user, course_id, org_key, role))


def emit_course_access_role_removed(user: User, course_id: CourseKey, org_key: str, role: str) -> None:
    COURSE_ACCESS_ROLE_REMOVED.send_event(course_access_role_data=_data(user, course_id, org_key, role))


def _data(user: User, course_id: CourseKey, org_key: str, role: str) -> Any:
    person = UserPersonalData(username=user.username, email=user.email)
    data = UserData(pii=person, id=user.id, is_active=user.is_active)
    return CourseAccessRoleData(user=data, course_key=course_id, org_key=org_key, role=role)
