"""Every text about a learner, in one place: they are a contract with whoever reads the error dictionary."""

NO_LMS_USER_TEMPLATE = "No user found with username {username}"
NO_PROGRAM_ENROLLMENT_TEMPLATE = (
    "No program enrollment found for program uuid={program_uuid} and external student key={external_user_key}"
)
EXISTING_USER_TEMPLATE = (
    "Program enrollment with external_student_key={external_user_key} is already linked to"
    " {account_relation} account username={username}"
)
RELINK_TEMPLATE = (
    "Relinking program enrollment with external_student_key={external_user_key} to account username={username}"
)

UNEXPECTED_STATUS_TEMPLATE = "unexpected program course enrollment status: {status}"

ROLES_STAY_TEMPLATE = "course roles of the former account stay with it: {roles}"
UNKNOWN_ROLE_TEMPLATE = "role {role} on {course_key} not granted: no such role"
ROLE_FAILED_TEMPLATE = "role {role} on {course_key} not granted: {error}"
INACTIVE_USER_TEMPLATE = "role {role} on {course_key} not granted: the account is inactive"
OTHER_MODE_TEMPLATE = "course enrollment in {course_key} stays in mode {mode}: not one that becomes masters"


def describe(error: BaseException) -> str:
    """Return ``TypeName``, or ``TypeName: text`` where the exception has a text."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
