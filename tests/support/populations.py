"""Many learners, written in bulk."""

from uuid import UUID

from django.contrib.auth import get_user_model
from opaque_keys.edx.keys import CourseKey

from linking.models import (
    CourseAccessRole,
    CourseAccessRoleAssignment,
    CourseEnrollment,
    CourseMode,
    CourseOverview,
    ProgramCourseEnrollment,
    ProgramEnrollment,
)
from samples.rows import bulk_create
from tests.support.ids import ALGEBRA, CURRICULUM, PROGRAM
from tests.support.rows import add_course_run, enroll, make_course, make_user

COURSES = tuple(CourseKey.from_string(f"course-v1:Org+Course{n}+2024") for n in range(2))


def add_learners(count: int, program: UUID = PROGRAM) -> dict[str, str]:
    """Write ``count`` users and as many program enrollments that wait; return the mapping that links them.

    Names count on from one call to the next.
    """
    first = ProgramEnrollment.objects.count()
    mapping = {f"s-{n}": f"u-{n}" for n in range(first, first + count)}
    get_user_model().objects.bulk_create(get_user_model()(username=name) for name in mapping.values())
    ProgramEnrollment.objects.bulk_create(
        ProgramEnrollment(external_user_key=key, program_uuid=program, curriculum_uuid=CURRICULUM) for key in mapping
    )
    return mapping


def add_learners_with_roles(count: int, prefix: str = "") -> dict[str, str]:
    """Add waiting learners with a course run and a role each, in one course; return their mapping."""
    make_course(ALGEBRA)
    mapping = {f"{prefix}s-{n}": f"{prefix}u-{n}" for n in range(count)}
    for key, username in mapping.items():
        make_user(username)
        add_course_run(enroll(key), ALGEBRA, roles=("staff",))
    return mapping


def add_learners_of_every_kind(count: int) -> dict[str, str]:
    """Write ``count`` learners, each with two course runs and a role assigned; return the mapping that links them.

    In turn: waiting, every second user inactive; linked to another user who is enrolled and holds a role, and inactive
    in a course run; enrolled in audit and holding the role already, with a role that does not exist; linked to this
    user; without user; without enrollment; in a course run that does not exist.
    """
    _courses()
    mapping = add_learners(count)
    users = {user.username: user for user in get_user_model().objects.all()}
    enrollments = {
        enrollment.external_user_key: enrollment
        for enrollment in ProgramEnrollment.objects.filter(program_uuid=PROGRAM)
    }
    former = bulk_create(get_user_model()(username=f"former-{key}") for key in mapping)
    missing = CourseKey.from_string("course-v1:Org+Missing+2024")
    runs, enrolled, held = [], [], []
    for n, (key, username) in enumerate(mapping.items()):
        kind = n % 7
        user, enrollment = users[username], enrollments[key]
        if kind in {1, 3}:
            enrollment.user = former[n] if kind == 1 else user
            enrolled += [CourseEnrollment(user=enrollment.user, course_id=course, mode="masters") for course in COURSES]
            held.append(enrollment.user)
        elif kind == 2:
            held.append(user)
            enrolled += [CourseEnrollment(user=user, course_id=course, mode="audit") for course in COURSES]
        elif kind == 4:
            mapping[key] = f"missing-{key}"
        elif kind == 5:
            enrollment.external_user_key = f"moved-{key}"
        courses = (COURSES[0], missing) if kind == 6 else COURSES
        runs += [ProgramCourseEnrollment(program_enrollment=enrollment, course_key=course) for course in courses]
        runs[-1].status = "inactive" if kind == 1 else "active"
    changed = [enrollments[key] for key in mapping]
    ProgramEnrollment.objects.bulk_update(changed, ["user", "external_user_key"], batch_size=500)
    rows = {(row.user_id, row.course_id): row for row in bulk_create(enrolled)}
    for run in runs:
        run.course_enrollment = rows.get((run.program_enrollment.user_id or 0, run.course_key))
    get_user_model().objects.filter(username__in=[*mapping.values()][7::14]).update(is_active=False)
    CourseAccessRole.objects.bulk_create(
        CourseAccessRole(user=user, org="Org", course_id=COURSES[0], role="staff") for user in held
    )
    runs = bulk_create(runs)
    CourseAccessRoleAssignment.objects.bulk_create(
        CourseAccessRoleAssignment(enrollment=run, role=role)
        for n, run in enumerate(runs)
        for role in (("staff", "wizard") if n % 14 == 4 else ("staff",))
    )
    return mapping


def _courses() -> None:
    if not CourseOverview.objects.exists():
        CourseOverview.objects.bulk_create(CourseOverview(id=course, org="Org") for course in COURSES)
        CourseMode.objects.bulk_create(
            CourseMode(course_id=COURSES[0], mode_slug=slug) for slug in ("audit", "masters")
        )
