"""Announcements to the LMS around us."""

from django.dispatch import Signal

course_enrollment_changed = Signal()
"""Sent after commit, once for each course enrollment that a transaction changed.

Arguments: ``course_enrollment`` (the :class:`~linking.models.CourseEnrollment` as committed), ``created`` (bool),
``skip_refund`` (bool: true where the change came of an unlinking or an undo, which never refund). One that an undo
deleted is notified as inactive. A receiver that raises is logged and harms neither the others nor the learner.
"""
