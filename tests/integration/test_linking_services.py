"""The services beside the workflow: reading program enrollments, linking and unlinking one, enrolling one user."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction

from linking import api
from linking.models import ProgramEnrollment
from tests.support.ids import ALGEBRA, BIOLOGY, CURRICULUM, OTHER_CURRICULUM, OTHER_PROGRAM, PROGRAM
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_role
from tests.support.stored import assignments_left, enrolled, roles_of, user_of

FILTERS = ("curriculum_uuids", "users", "external_user_keys", "program_enrollment_statuses")


class TestFetchProgramEnrollments:
    @pytest.fixture
    def enrollments(self, ada: User, bob: User) -> dict[str, ProgramEnrollment]:
        """Four program enrollments of the program and one of another."""
        return {
            "linked": enroll("s-1", ada),
            "waiting": enroll("s-2", status="pending"),
            "elsewhere": enroll("s-1", bob, curriculum_uuid=OTHER_CURRICULUM, status="canceled"),
            "keyless": enroll(None, bob),
            "foreign": enroll("s-1", ada, program_uuid=OTHER_PROGRAM),
        }

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({}, {"linked", "waiting", "elsewhere", "keyless"}),
            ({"curriculum_uuids": [CURRICULUM]}, {"linked", "waiting", "keyless"}),
            ({"curriculum_uuids": {str(OTHER_CURRICULUM)}}, {"elsewhere"}),
            ({"curriculum_uuids": [uuid4()]}, set()),
            ({"external_user_keys": ["s-1"]}, {"linked", "elsewhere"}),
            ({"external_user_keys": {"s-1", "s-2"}}, {"linked", "waiting", "elsewhere"}),
            ({"external_user_keys": ["S-2", "a\0b"]}, {"waiting"}),
            ({"program_enrollment_statuses": ["enrolled"]}, {"linked", "keyless"}),
            ({"program_enrollment_statuses": {"pending", "canceled"}}, {"waiting", "elsewhere"}),
            ({"realized_only": True}, {"linked", "elsewhere", "keyless"}),
            ({"waiting_only": True}, {"waiting"}),
            ({"realized_only": True, "external_user_keys": ["s-1", "s-2"]}, {"linked", "elsewhere"}),
            ({"waiting_only": True, "curriculum_uuids": [OTHER_CURRICULUM]}, set()),
            # None does not filter, an empty collection lets nothing through.
            (dict.fromkeys(FILTERS), {"linked", "waiting", "elsewhere", "keyless"}),
            *(({name: []}, set()) for name in FILTERS),
        ],
    )
    @pytest.mark.parametrize("program", [PROGRAM, str(PROGRAM)])
    def test_it_returns_those_that_pass_every_filter(
        self, enrollments: dict[str, ProgramEnrollment], program: Any, filters: dict[str, Any], expected: set[str]
    ) -> None:
        found = api.fetch_program_enrollments(program, **filters)

        assert sorted(row.pk for row in found) == sorted(enrollments[name].pk for name in expected)

    def test_it_finds_keys_in_any_case_by_an_index(self) -> None:
        enrollment = enroll("É-1")
        for n in range(200):
            enroll(f"s-{n}")
        found = api.fetch_program_enrollments(PROGRAM, external_user_keys=["é-1", "e-1"])

        assert list(found) == [enrollment]
        if connection.vendor == "mysql":
            assert "programenrollment_unique_key" in found.explain()
            return
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        assert "programenrollment_folded_key" in found.explain()

    def test_it_returns_those_of_the_given_users(self, enrollments: dict[str, ProgramEnrollment], bob: User) -> None:
        found = api.fetch_program_enrollments(PROGRAM, users={bob})

        assert set(found) == {enrollments["elsewhere"], enrollments["keyless"]}

    def test_it_returns_a_query_set_to_go_on_with(self, enrollments: dict[str, ProgramEnrollment]) -> None:
        rows = api.fetch_program_enrollments(PROGRAM).filter(status="pending").select_related("user").order_by("-id")

        assert list(rows) == [enrollments["waiting"]]

    @pytest.mark.parametrize(
        "filters", [{"realized_only": True, "waiting_only": True}, {"external_user_keys": ["s-1", None]}]
    )
    def test_filters_that_contradict_each_other_and_a_none_among_the_keys_are_refused(self, filters: Any) -> None:
        with pytest.raises(ValueError, match=r"\S"):
            api.fetch_program_enrollments(PROGRAM, **filters)


class TestLinkProgramEnrollmentToLmsUser:
    def test_it_links_enrolls_and_grants(self, ada: User) -> None:
        enrollment = enroll("s-1")
        run = add_course_run(enrollment, make_course(), roles=("staff",))

        api.link_program_enrollment_to_lms_user(enrollment, ada)

        assert enrollment.user == ada
        assert user_of(enrollment) == "ada"
        assert enrolled(ada) == {str(ALGEBRA): ("masters", True)}
        assert roles_of(ada) == {("Org", str(ALGEBRA), "staff")}
        assert assignments_left() == set()
        run.refresh_from_db()
        assert run.course_enrollment

    def test_an_enrollment_without_a_key_is_linked_too(self, ada: User, bob: User) -> None:
        enrollment = enroll(None, bob)

        api.link_program_enrollment_to_lms_user(enrollment, ada)

        assert user_of(enrollment) == "ada"

    @pytest.mark.parametrize(
        ("is_held", "status", "error", "text"),
        [(True, "active", IntegrityError, r"\S"), (False, "paused", ValueError, "paused")],
        ids=["the user is held elsewhere", "an unexpected status"],
    )
    def test_it_raises_and_writes_nothing(
        self, status: str, error: type[Exception], text: str, ada: User, *, is_held: bool
    ) -> None:
        enrollment = enroll("s-1")
        if is_held:
            enroll("elsewhere", ada)
        add_course_run(enrollment, make_course(), status=status)

        with pytest.raises(error, match=text), transaction.atomic():
            api.link_program_enrollment_to_lms_user(enrollment, ada)

        assert user_of(enrollment) is None

    def test_it_raises_for_a_course_that_does_not_exist_and_writes_nothing(self, ada: User) -> None:
        enrollment = enroll("s-1")
        add_course_run(enrollment, make_course(ALGEBRA))
        add_course_run(enrollment, BIOLOGY)

        with pytest.raises(api.CourseEnrollmentException, match=r"^$") as raised:
            api.link_program_enrollment_to_lms_user(enrollment, ada)

        assert raised.type is api.NonExistentCourseError
        assert user_of(enrollment) is None
        assert enrolled(ada) == {}


class TestUnlinkProgramEnrollment:
    def test_it_leaves_courses_and_forgets_them_and_the_user(self, ada: User) -> None:
        enrollment = enroll("s-1", ada)
        run = add_course_run(enrollment, make_course(modes={"audit": None}), enroll_in_course(ada))

        api.unlink_program_enrollment(enrollment)

        assert enrollment.user is None
        assert user_of(enrollment) is None
        assert enrolled(ada) == {str(ALGEBRA): ("audit", False)}
        run.refresh_from_db()
        assert run.course_enrollment is None

    def test_a_waiting_program_course_enrollment_is_left_alone(self, ada: User) -> None:
        enrollment = enroll("s-1", ada)
        enroll_in_course(ada, make_course())
        add_course_run(enrollment)

        api.unlink_program_enrollment(enrollment)

        assert user_of(enrollment) is None
        assert enrolled(ada) == {str(ALGEBRA): ("masters", True)}

    def test_roles_and_assignments_stay_until_it_is_linked_again(self, ada: User) -> None:
        enrollment = enroll("s-1", ada)
        add_course_run(enrollment, make_course(), enroll_in_course(ada), roles=("staff",))
        make_role(ada)

        api.unlink_program_enrollment(enrollment)

        assert roles_of(ada) == {("Org", str(ALGEBRA), "staff")}
        assert assignments_left() == {(str(ALGEBRA), "staff")}
        api.link_program_enrollment_to_lms_user(enrollment, ada)
        assert user_of(enrollment) == "ada"
        assert enrolled(ada) == {str(ALGEBRA): ("masters", True)}

    def test_an_enrollment_without_a_key_cannot_lose_its_user(self, ada: User) -> None:
        enrollment = enroll(None, ada)
        add_course_run(enrollment, make_course(), enroll_in_course(ada))

        with pytest.raises(IntegrityError), transaction.atomic():
            api.unlink_program_enrollment(enrollment)

        assert user_of(enrollment) == "ada"
        assert enrolled(ada) == {str(ALGEBRA): ("masters", True)}


class TestEnrollInMastersTrack:
    @pytest.mark.parametrize("as_string", [False, True])
    @pytest.mark.parametrize(("status", "is_active"), [("active", True), ("inactive", False)])
    def test_it_creates_the_course_enrollment(
        self, status: str, ada: User, *, is_active: bool, as_string: bool
    ) -> None:
        key = make_course()

        enrollment = api.enroll_in_masters_track(ada, str(key) if as_string else key, status)

        assert (enrollment.user, enrollment.course_id) == (ada, key)
        assert (enrollment.mode, enrollment.is_active) == ("masters", is_active)
        enrollment.refresh_from_db()
        assert enrolled(ada) == {str(key): ("masters", is_active)}

    @pytest.mark.parametrize(
        ("mode", "expected"), [("audit", "masters"), ("honor", "masters"), ("verified", "verified")]
    )
    def test_it_changes_the_one_that_is_there(self, mode: str, expected: str, ada: User) -> None:
        there = enroll_in_course(ada, make_course(), mode)

        enrollment = api.enroll_in_masters_track(ada, ALGEBRA, "active")

        assert enrollment == there
        assert (enrollment.mode, enrollment.is_active) == (expected, True)
        assert enrolled(ada) == {str(ALGEBRA): (expected, True)}

    def test_it_raises_for_a_missing_course_and_for_an_unexpected_status(self, ada: User) -> None:
        course = make_course()

        with pytest.raises(api.NonExistentCourseError):
            api.enroll_in_masters_track(ada, BIOLOGY, "active")
        with pytest.raises(ValueError, match="paused"):
            api.enroll_in_masters_track(ada, course, "paused")


def test_the_templates_are_those_of_the_messages() -> None:
    assert api.NO_LMS_USER_TEMPLATE.format(username="ada") == "No user found with username ada"
    assert (
        api.NO_PROGRAM_ENROLLMENT_TEMPLATE.format(program_uuid=PROGRAM, external_user_key="s-1")
        == f"No program enrollment found for program uuid={PROGRAM} and external student key=s-1"
    )
    assert (
        api.EXISTING_USER_TEMPLATE.format(external_user_key="s-1", account_relation="target", username="ada")
        == "Program enrollment with external_student_key=s-1 is already linked to target account username=ada"
    )
