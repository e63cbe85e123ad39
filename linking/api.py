"""The catalogue: the names that other packages may import from linking."""

from linking.engine import Ledger, link_slice, rehearse_slice
from linking.enrollments import (
    check_mapping,
    enroll_in_masters_track,
    fetch_program_enrollments,
    link_program_enrollment_to_lms_user,
    link_program_enrollments,
    unlink_program_enrollment,
)
from linking.exceptions import CourseEnrollmentException, NonExistentCourseError
from linking.keys import is_storable
from linking.lookups import stored_uuid
from linking.messages import EXISTING_USER_TEMPLATE, NO_LMS_USER_TEMPLATE, NO_PROGRAM_ENROLLMENT_TEMPLATE
from linking.outcomes import FAILURES, SUCCESSES, Learner, Outcome, Result
from linking.preview import count_relinks, interfering_learners, overlap, serialize_by
from linking.restore import Pointer, pointers_of
from linking.retry import is_transient
from linking.rowsets import execute, fetch, rowset
from linking.undo import UndoLedger, rehearse_undo, undo_slice

__all__ = (
    "EXISTING_USER_TEMPLATE",
    "FAILURES",
    "NO_LMS_USER_TEMPLATE",
    "NO_PROGRAM_ENROLLMENT_TEMPLATE",
    "SUCCESSES",
    "CourseEnrollmentException",
    "Learner",
    "Ledger",
    "NonExistentCourseError",
    "Outcome",
    "Pointer",
    "Result",
    "UndoLedger",
    "check_mapping",
    "count_relinks",
    "enroll_in_masters_track",
    "execute",
    "fetch",
    "fetch_program_enrollments",
    "interfering_learners",
    "is_storable",
    "is_transient",
    "link_program_enrollment_to_lms_user",
    "link_program_enrollments",
    "link_slice",
    "overlap",
    "pointers_of",
    "rehearse_slice",
    "rehearse_undo",
    "rowset",
    "serialize_by",
    "stored_uuid",
    "undo_slice",
    "unlink_program_enrollment",
)
