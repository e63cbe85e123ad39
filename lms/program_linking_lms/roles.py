"""What a granted or revoked course role causes in the LMS.

No ``post_save`` is sent: one of its receivers writes the history of roles, which the worker has written with the role.
"""

import logging
from typing import Any

from openedx_events.learning.data import CourseAccessRoleData
from openedx_events.learning.signals import COURSE_ACCESS_ROLE_ADDED, COURSE_ACCESS_ROLE_REMOVED

from program_linking_lms import platform
from program_linking_lms.events import Event
from program_linking_lms.receivers import call
from program_linking_lms.users import user_data

log = logging.getLogger(__name__)


def announce_role(event: Event, user: Any) -> None:
    """Send the event of openedx-events."""
    signal = COURSE_ACCESS_ROLE_ADDED if event.kind == "role_granted" else COURSE_ACCESS_ROLE_REMOVED
    data = CourseAccessRoleData(
        user=user_data(user, with_name=False), org_key=event.org, course_key=event.course_key, role=event.role
    )
    call(
        f"event {event.id}: {signal.event_type}",
        lambda: signal.send_event(time=event.recorded, course_access_role_data=data),
    )
    call(f"event {event.id}: flag of openedx-authz", lambda: _log_if_kept_elsewhere(event))


def _log_if_kept_elsewhere(event: Event) -> None:
    flag = platform.authz_flag()
    if flag is not None and flag.is_enabled(event.course_key):
        text = "event %s: openedx-authz keeps the roles of %s; %s %r was written to student_courseaccessrole instead"
        log.error(text, event.id, event.course_key, event.kind, event.role)
