"""The commands of the recording LMS."""

from typing import Any

from common.djangoapps.student.models import CourseEnrollment, UserProfile
from django.contrib.auth.models import User
from lms.djangoapps.program_enrollments.models import ProgramEnrollment
from openedx.core.djangoapps.content.course_overviews.models import CourseOverview
from program_linking_lms.models import ProcessedEvent
from program_linking_lms.tasks import receive_events

from tests.support.living_lms.linking import Linking
from tests.support.recording_lms import enrolling, undoing
from tests.support.recording_lms.models import Record

_linking = Linking(ProgramEnrollment, CourseEnrollment, CourseOverview, enrolling, enrolling.learner)


def begin() -> None:
    """Forget all records and processed events; give each user a profile, and each course run a name."""
    Record.objects.all().delete()
    ProcessedEvent.objects.all().delete()
    UserProfile.objects.all().delete()
    UserProfile.objects.bulk_create(UserProfile(user=user, name=f"Name of {user.pk}") for user in User.objects.all())
    for course in CourseOverview.objects.all():
        CourseOverview.objects.filter(pk=course.pk).update(display_name=f"Title of {course.pk}")
    enrolling.changes.clear()


def link(program: str, mapping: dict[str, str]) -> dict[str, str]:
    """Link learners one by one; see :mod:`tests.support.living_lms.linking`."""
    return _linking.link_program_enrollments(program, mapping)


def undo(keys: list[str]) -> None:
    """Undo learners one by one."""
    undoing.undo(keys)


def receive(batch: str, events: list[dict[str, Any]]) -> None:
    """Run the task of the plug-in with a batch of events."""
    receive_events(batch=batch, events=events)


def records() -> list[tuple[int | None, str, dict[str, Any]]]:
    """Return user, kind and details of all records, in their order."""
    return list(Record.objects.values_list("user_id", "what", "details"))
