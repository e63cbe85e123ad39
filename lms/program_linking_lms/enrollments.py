"""What a changed course enrollment causes in the LMS.

It is the same as in ``CourseEnrollment.enroll()``, ``update_enrollment()`` or a bare ``save()``, without the save: the
row is written already, with its history. Receivers get it in the state of the event, which may no longer be that of the
database, so they must not save it.
"""

from collections.abc import Callable
from typing import Any

from django.core.cache import cache
from django.core.exceptions import ObjectDoesNotExist
from django.db import DEFAULT_DB_ALIAS
from django.db.models.signals import post_save
from openedx_events.learning import signals
from openedx_events.learning.data import CourseData, CourseEnrollmentData

from program_linking_lms import platform
from program_linking_lms.events import Event, State
from program_linking_lms.receivers import Responses, call
from program_linking_lms.users import user_data


def delete_caches(user: Any, course_key: Any) -> None:
    """Delete what the LMS caches about the enrollments of a user, and about the one in a course run."""
    cache.delete_many([f"enrollment_status_hash_{user.username}", f"enrollment.{user.pk}.{course_key}.mode"])


class ChangedEnrollment:
    """A course enrollment, and what its change causes.

    Args:
        event: the change.
        user: its LMS user.
    """

    def __init__(self, event: Event, user: Any) -> None:
        model = platform.course_enrollments()
        stored = model.objects.filter(pk=event.course_enrollment_id).first()
        self._event, self._user, self._model = event, user, model
        self._is_stored = stored is not None
        # Of a row that was deleted since, receivers get what is known.
        self._row = stored or model(
            id=event.course_enrollment_id, user_id=user.pk, course_id=event.course_key, created=event.recorded
        )
        self._row.user = user
        self._row.skip_history_when_saving = True  # For django-simple-history: its row is written already.

    def announce(self) -> None:
        """Do what the LMS does, in its order."""
        event = self._event
        before = event.before or State(is_active=False, mode=platform.default_mode())
        after = event.after
        assert after is not None  # noqa: S101 - for the type checker: only a role has none
        if event.before is None:
            self._saved(before, former_mode=None)  # enroll() creates an inactive row and activates it.
        if event.path == "save" or before == after:
            self._saved(after, former_mode=before.mode)
            return
        self._updated(before, after)
        if event.path == "enroll":
            self._send_status(platform.ENROLL)
            self._send_event(signals.COURSE_ENROLLMENT_CREATED)

    def _updated(self, before: State, after: State) -> None:
        """Do what ``update_enrollment()`` does."""
        self._saved(after, former_mode=before.mode)
        self._send_event(signals.COURSE_ENROLLMENT_CHANGED)
        if after.is_active and not before.is_active:
            self._track(platform.ACTIVATED)
        elif before.is_active and not after.is_active:
            ended = platform.enrollment_signals().UNENROLL_DONE
            arguments = {"course_enrollment": self._row, "skip_refund": self._event.skip_refund}
            self._call("UNENROLL_DONE", lambda: ended.send_robust(sender=None, **arguments))
            self._track(platform.DEACTIVATED)
            self._send_status(platform.UNENROLL)
            self._send_event(signals.COURSE_UNENROLLMENT_COMPLETED)
        if after.mode != before.mode:
            self._mode_changed()

    def _saved(self, state: State, *, former_mode: str | None) -> None:
        """Do what ``save()`` does; ``former_mode`` is None for the first one."""
        self._row.is_active, self._row.mode = state.is_active, state.mode
        self._row._old_mode = former_mode  # noqa: SLF001 - the LMS's own pre_save receiver sets it, for cohorts
        delete_caches(self._user, self._event.course_key)
        if not self._is_stored:
            return  # Receivers would write rows that refer to it.
        arguments = {"instance": self._row, "created": former_mode is None, "update_fields": None, "raw": False}
        self._call("post_save", lambda: post_save.send_robust(sender=self._model, using=DEFAULT_DB_ALIAS, **arguments))

    def _mode_changed(self) -> None:
        self._call("mail about proctoring", lambda: platform.send_proctoring_mail(self._user, self._row.course_id))
        self._track(platform.MODE_CHANGED)
        updated = platform.enrollment_signals().ENROLLMENT_TRACK_UPDATED
        arguments = {"user": self._user, "course_key": self._row.course_id, "mode": self._row.mode}
        self._call(
            "ENROLLMENT_TRACK_UPDATED",
            lambda: updated.send_robust(sender=None, countdown=platform.GRADES_COUNTDOWN, **arguments),
        )

    def _track(self, name: str) -> None:
        """Write the tracking log; the LMS's method sends to Segment and by mail, too, where that is configured."""
        self._call(name, lambda: self._row.emit_event(name))

    def _send_status(self, status: str) -> None:
        changed = platform.enrollment_signals().ENROLL_STATUS_CHANGE
        arguments = {"user": self._user, "mode": self._row.mode, "course_id": self._row.course_id}
        self._call(
            "ENROLL_STATUS_CHANGE",
            lambda: changed.send_robust(sender=None, event=status, cost=None, currency=None, **arguments),
        )

    def _send_event(self, signal: Any) -> None:
        data = CourseEnrollmentData(
            user=user_data(self._user),
            course=self._course_data(),
            mode=self._row.mode,
            is_active=self._row.is_active,
            creation_date=self._row.created or self._event.recorded,
        )
        self._call(signal.event_type, lambda: signal.send_event(time=self._event.recorded, enrollment=data))

    def _course_data(self) -> CourseData:
        try:
            return CourseData(course_key=self._event.course_key, display_name=self._row.course.display_name)
        except ObjectDoesNotExist:
            return CourseData(course_key=self._event.course_key)

    def _call(self, what: str, send: Callable[[], Responses | None]) -> None:
        call(f"event {self._event.id}: {what}", send)
