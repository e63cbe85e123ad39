"""Names that callers use: a change of one breaks them."""

import celeryconfig
from linking import api, bulk
from worker.celery import app
from worker.jobs import slices


def test_linking_api_offers_the_names_of_the_contract_and_no_others() -> None:
    services = {
        "enroll_in_masters_track",
        "fetch_program_enrollments",
        "link_program_enrollment_to_lms_user",
        "link_program_enrollments",
        "unlink_program_enrollment",
    }
    exceptions = {"CourseEnrollmentException", "NonExistentCourseError"}
    templates = {"EXISTING_USER_TEMPLATE", "NO_LMS_USER_TEMPLATE", "NO_PROGRAM_ENROLLMENT_TEMPLATE"}

    assert set(api.__all__) == services | exceptions | templates
    assert all(hasattr(api, name) for name in api.__all__)
    assert issubclass(api.NonExistentCourseError, api.CourseEnrollmentException)


def test_the_tasks_have_these_names() -> None:
    app.loader.import_default_modules()

    assert {name for name in app.tasks if not name.startswith("celery.")} == {
        "linking.acknowledge_events",
        "linking.attend_inbox",
        "linking.dispatch_resumed",
        "linking.deliver_events",
        "linking.finish_job",
        "linking.forget_learner",
        "linking.import_inbox",
        "linking.link_learners",
        "linking.link_program_enrollments",
        "linking.note_marker",
        "linking.pause",
        "linking.purge_expired_jobs",
        "linking.resume",
        "linking.refuse_events",
        "linking.resume_stalled_jobs",
        "linking.undo_job",
    }


def test_the_outcomes_have_these_names_in_the_ledger() -> None:
    failures = {"no_user", "no_enrollment", "course_error", "conflict", "error", "cancelled", "changed_since"}
    others = {"pending", "linked", "relinked", "already_linked", "undone"}

    assert {str(outcome) for outcome in bulk.Outcome} == failures | others
    assert {str(outcome) for outcome in bulk.FAILURES} == failures
    assert {str(outcome) for outcome in bulk.SUCCESSES} == {"linked", "relinked", "undone"}


def test_nothing_but_json_is_written_or_read() -> None:
    assert celeryconfig.accept_content == celeryconfig.result_accept_content == ["json"]
    assert celeryconfig.task_serializer == celeryconfig.result_serializer == "json"


def test_a_message_comes_back_only_after_the_longest_task_has_ended() -> None:
    assert celeryconfig.task_time_limit > slices.SECONDS
    assert celeryconfig.task_time_limit < celeryconfig.broker_transport_options["visibility_timeout"]
    assert celeryconfig.task_acks_late
    assert celeryconfig.task_reject_on_worker_lost
    assert celeryconfig.worker_prefetch_multiplier == 1
