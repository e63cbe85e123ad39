"""The public Python API: these names and no others, for any program beside the tables."""

from linking.exceptions import CourseEnrollmentException, NonExistentCourseError
from linking.messages import EXISTING_USER_TEMPLATE, NO_LMS_USER_TEMPLATE, NO_PROGRAM_ENROLLMENT_TEMPLATE
from linking.services import (
    enroll_in_masters_track,
    fetch_program_enrollments,
    link_program_enrollment_to_lms_user,
    link_program_enrollments,
    unlink_program_enrollment,
)

__all__ = (
    "EXISTING_USER_TEMPLATE",
    "NO_LMS_USER_TEMPLATE",
    "NO_PROGRAM_ENROLLMENT_TEMPLATE",
    "CourseEnrollmentException",
    "NonExistentCourseError",
    "enroll_in_masters_track",
    "fetch_program_enrollments",
    "link_program_enrollment_to_lms_user",
    "link_program_enrollments",
    "unlink_program_enrollment",
)
