"""Signals for the LMS around us."""

from django.dispatch import Signal

course_enrollment_changed = Signal()
"""Sent after commit, once for each course enrollment that a transaction changed.

Arguments: ``course_enrollment`` (the :class:`~linking.models.CourseEnrollment` as committed), ``created`` (bool),
``skip_refund`` (bool: true where an unlinking or an undo caused the change; these never refund). One that an undo
deleted is sent as inactive. A receiver that raises is logged; it affects neither other receivers nor the learner.
"""
