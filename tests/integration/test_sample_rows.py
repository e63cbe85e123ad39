"""The sample program in a real database has the outcomes that it was made to have."""

from collections import Counter

from linking.api import link_program_enrollments
from linking.models import CourseAccessRole, CourseEnrollment, ProgramCourseEnrollment, ProgramEnrollment
from samples.program import PROGRAM_UUID, sample_program
from samples.rows import write_rows

BEGINNINGS = {
    "No user found": "no_user",
    "No program enrollment found": "no_enrollment",
    "Program enrollment with": "already_linked",
    "NonExistentCourseError": "course_error",
    "IntegrityError: ": "conflict",
}


def _outcome(message: str) -> str:
    return next(outcome for beginning, outcome in BEGINNINGS.items() if message.startswith(beginning))


def test_linking_the_sample_has_the_expected_outcomes() -> None:
    sample = sample_program()
    write_rows(sample)
    assert ProgramEnrollment.objects.filter(program_uuid=PROGRAM_UUID).count() == 2_000
    assert ProgramCourseEnrollment.objects.count() == 4_000

    errors = link_program_enrollments(PROGRAM_UUID, sample.mapping)

    successes = {outcome: sample.expected[outcome] for outcome in ("linked", "relinked")}
    assert Counter(map(_outcome, errors.values())) == sample.expected - Counter(successes)
    assert len(sample.mapping) - len(errors) == sum(successes.values())
    # Roles for active users only; a verified learner stays verified.
    assert CourseAccessRole.objects.filter(role="staff", user__is_active=True).count() == 2 * 60
    assert not CourseAccessRole.objects.filter(user__is_active=False).exists()
    assert CourseEnrollment.objects.filter(mode="verified", is_active=True).count() == 20
    assert not CourseEnrollment.objects.filter(mode="honor").exists()
