"""All texts about learners. They are a contract with the readers of the error dictionary."""

import re

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

SAME_KEY_TEMPLATE = (
    "the mapping has this key in another case, too: {external_user_key} for account username={username},"
    " {place} this one"
)
ROLES_STAY_TEMPLATE = "course roles of the former account stay with it: {roles}"
UNKNOWN_ROLE_TEMPLATE = "role {role} on {course_key} not granted: no such role"
ROLE_FAILED_TEMPLATE = "role {role} on {course_key} not granted: {error}"
INACTIVE_USER_TEMPLATE = "role {role} on {course_key} not granted: the account is inactive"
OTHER_MODE_TEMPLATE = "course enrollment in {course_key} stays in mode {mode}: not one that becomes masters"

CHANGE_FORGOTTEN = "not undone: the learner was forgotten, and with it what the job changed"
CHANGED_SINCE_TEMPLATE = "not undone, changed since: {changes}"
ENROLLMENT_GONE = "the program enrollment no longer exists"
ENROLLMENT_UNLINKED = "the program enrollment is linked to no account"
ENROLLMENT_RELINKED_TEMPLATE = "the program enrollment is linked to account username={username}"
KEY_CHANGED = "the program enrollment has another external user key"
ACCOUNT_GONE = "the former account no longer exists"
ACCOUNT_TAKEN_TEMPLATE = "the former account username={username} holds another program enrollment of the curriculum"
COURSE_RUN_GONE = "a course run is no longer part of the program enrollment"
COURSE_RUN_ADDED_TEMPLATE = "course run {course_key} was added to the program enrollment"
COURSE_RUN_MOVED_TEMPLATE = "course run {course_key} points at another course enrollment"
COURSE_ENROLLMENT_GONE = "a course enrollment no longer exists"
COURSE_ENROLLMENT_CHANGED_TEMPLATE = "the course enrollment in {course_key} was {then}, is {now}"
COURSE_ENROLLMENT_USED_TEMPLATE = "another program enrollment uses the course enrollment in {course_key}"
ROLE_GONE_TEMPLATE = "role {role} on {course_key} is no longer held"
ROLE_ASSIGNED_TEMPLATE = "role {role} on {course_key} is assigned again"


def describe(error: BaseException) -> str:
    """Return ``TypeName``, or ``TypeName: text`` where the exception has a text."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


HOLDS_ANOTHER = re.compile(
    r"^IntegrityError: .*(?:programenrollment_unique_user\b|user_id\W.*program_uuid|user_id_program_uuid)", re.DOTALL
)
"""Databases name the constraint on user, program and curriculum, or its columns: ours, SQLite's, the LMS's."""
EXPLANATIONS = (
    (HOLDS_ANOTHER, "{username} already holds another enrollment of this curriculum"),
    (re.compile("^IntegrityError"), "the database refused the change: it contradicts another row"),
    (re.compile("^NonExistentCourseError"), "a course run of the program enrollment does not exist in the LMS"),
    (
        re.compile("^ValueError: " + UNEXPECTED_STATUS_TEMPLATE.partition("{")[0]),
        "a course run of the program enrollment has a status other than active and inactive",
    ),
    (re.compile("^WorkerLostError"), "the worker ended at each attempt at this learner; its log says more"),
    (re.compile("^JobFailedError"), "the job was given up before it came to this learner"),
    (re.compile(r"^\w+(?:Error|Exception)\b"), "an unexpected error; the worker's log says more"),
)


def explain(message: str, username: str) -> str:
    """Return in words for people why a learner was not linked; empty where the message says so itself.

    Args:
        message: the learner's, as in the error dictionary.
        username: the LMS user that the learner was to be linked to.
    """
    for pattern, text in EXPLANATIONS:
        if pattern.search(message):
            return text.format(username=username)
    return ""
