"""Rules of log records, levels and loggers: only ``linking.learners`` gets records that name a learner."""

import logging

import pytest
from django.contrib.auth.models import User

from linking import messages
from tests.support.ids import BIOLOGY
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_role, make_user
from tests.support.runs import link_by_engine

pytestmark = pytest.mark.usefixtures("ada", "bob")

LEARNERS = "linking.learners"


def texts(log: pytest.LogCaptureFixture, level: int) -> list[str]:
    """Return the texts that ``linking.learners`` got at ``level``."""
    return [record.getMessage() for record in log.records if (record.name, record.levelno) == (LEARNERS, level)]


def test_each_error_message_is_logged_at_warning(log: pytest.LogCaptureFixture, ada: User, bob: User) -> None:
    enroll("elsewhere", ada)
    enroll("s-1")
    add_course_run(enroll("s-2"), BIOLOGY)
    enroll("s-3", bob)
    make_user("eve")
    add_course_run(enroll("s-4"), make_course(), status="paused")

    errors = link_by_engine({"s-0": "ada", "s-1": "ada", "s-2": "eve", "s-3": "bob", "s-4": "eve", "s-5": "nobody"})

    assert errors.keys() == {f"s-{n}" for n in range(6)}
    assert sorted(texts(log, logging.WARNING)) == sorted(errors.values())


def test_linking_alone_warns_of_nothing(log: pytest.LogCaptureFixture) -> None:
    add_course_run(enroll("s-1"), make_course(), roles=("staff",))

    assert link_by_engine({"s-1": "ada"}) == {}
    assert [record for record in log.records if record.levelno >= logging.WARNING] == []


def test_a_relink_is_logged_at_info_with_both_messages(log: pytest.LogCaptureFixture, ada: User) -> None:
    enroll("S-1", ada)

    assert link_by_engine({"s-1": "bob"}) == {}
    assert {
        "Program enrollment with external_student_key=S-1 is already linked to a different account username=ada",
        messages.RELINK_TEMPLATE.format(external_user_key="S-1", username="bob"),
    } <= {*texts(log, logging.INFO)}
    assert texts(log, logging.WARNING) == []


@pytest.mark.parametrize(
    ("is_relink", "is_held", "error"),
    [
        (False, False, "NonExistentCourseError"),
        (True, False, "NonExistentCourseError"),
        (False, True, "IntegrityError"),
    ],
)
def test_a_rollback_is_logged_with_its_traceback(
    log: pytest.LogCaptureFixture, error: str, ada: User, bob: User, *, is_relink: bool, is_held: bool
) -> None:
    enrollment = enroll("s-1", ada if is_relink else None)
    if is_held:
        enroll("elsewhere", bob)
    else:
        add_course_run(enrollment, BIOLOGY)

    assert link_by_engine({"s-1": "bob"})["s-1"].startswith(error)
    (record,) = [record for record in log.records if record.exc_info]
    assert record.exc_info is not None
    kind, _, traceback = record.exc_info
    assert (record.name, kind and kind.__name__) == (LEARNERS, error)
    assert traceback is not None


def test_nothing_that_names_a_learner_goes_to_another_logger(log: pytest.LogCaptureFixture) -> None:
    secret, hidden, quiet = "key-of-ada", "user-ada", "user-bob"
    ada = make_user(hidden)
    make_user(quiet, is_active=False)
    make_course()
    relinked = enroll(secret, ada)
    add_course_run(relinked, course_enrollment=enroll_in_course(ada), roles=("staff", "wizard"))
    make_role(ada)
    enroll("key-of-eve", make_user("user-eve"))
    enroll("key-of-kim")
    add_course_run(enroll("key-of-joe"), BIOLOGY)

    link_by_engine(
        {
            secret: quiet,
            "key-of-eve": "user-eve",
            "key-of-kim": "user-eve",
            "key-of-joe": hidden,
            "key-of-zoe": hidden,
            "key-of-max": "user-max",
        }
    )

    learners = [record for record in log.records if record.name == LEARNERS]
    assert learners
    for record in set(log.records) - set(learners):
        # Django's own log of statements is off unless DEBUG is on.
        if record.name != "django.db.backends":
            text = f"{record.getMessage()} {record.args} {record.exc_info} {record.exc_text}"
            assert "key-of" not in text
            assert "user-" not in text
