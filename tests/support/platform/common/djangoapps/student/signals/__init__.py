from common.djangoapps.student.signals.signals import (
    ENROLL_STATUS_CHANGE,
    ENROLLMENT_TRACK_UPDATED,
    UNENROLL_DONE,
    emit_course_access_role_added,
    emit_course_access_role_removed,
)
