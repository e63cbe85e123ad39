from common.djangoapps.student.models.course_enrollment import (
    CourseEnrollment,
    CourseEnrollmentAllowed,
    EnrollStatusChange,
)
from common.djangoapps.student.models.user import CourseAccessRole, CourseAccessRoleHistory, UserProfile
