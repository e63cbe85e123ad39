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


def test_linking_the_sample_gives_the_errors_it_was_made_to_give() -> None:
    sample = sample_program()
    write_rows(sample)

    errors = link_program_enrollments(PROGRAM_UUID, sample.mapping)

    successes = {outcome: sample.expected[outcome] for outcome in ("linked", "relinked")}
    assert Counter(map(_outcome, errors.values())) == sample.expected - Counter(successes)
    assert len(sample.mapping) - len(errors) == sum(successes.values())


def test_the_sample_is_two_thousand_learners_with_two_course_runs_each() -> None:
    write_rows(sample_program())

    assert ProgramEnrollment.objects.filter(program_uuid=PROGRAM_UUID).count() == 2_000
    assert ProgramCourseEnrollment.objects.count() == 4_000


def test_linking_the_sample_grants_the_roles_of_active_users_only() -> None:
    sample = sample_program()
    write_rows(sample)

    link_program_enrollments(PROGRAM_UUID, sample.mapping)

    assert CourseAccessRole.objects.filter(role="staff", user__is_active=True).count() == 2 * 60
    assert not CourseAccessRole.objects.filter(user__is_active=False).exists()


def test_linking_the_sample_leaves_a_verified_learner_in_verified() -> None:
    sample = sample_program()
    write_rows(sample)

    link_program_enrollments(PROGRAM_UUID, sample.mapping)

    assert CourseEnrollment.objects.filter(mode="verified", is_active=True).count() == 20
    assert not CourseEnrollment.objects.filter(mode="honor").exists()
