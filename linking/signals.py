"""Signals about changed course enrollments and roles.

They are sent from the outbox (:mod:`linking.outbox`), after the transaction that changed the rows is committed, in the
order in which the changes happened to each user, and at least once: a receiver that raises is called again with the
same event. Each has the argument ``event`` (:class:`linking.outbox.models.Event`), whose ``uuid`` stays the same.
"""

from django.dispatch import Signal

course_enrollment_changed = Signal()
"""Sent for each transition of a course enrollment; the sender is :class:`linking.models.CourseEnrollment`.

Arguments: ``course_enrollment`` (a :class:`~linking.models.CourseEnrollment` as it was after the transition; inactive
where an undo deleted it), ``created`` (bool), ``skip_refund`` (bool: true where an unlinking or an undo caused the
transition; these never refund) and ``event``.
"""

course_role_changed = Signal()
"""Sent for each course role that was granted, or revoked by an undo.

The sender is :class:`linking.models.CourseAccessRole`. Arguments: ``user_id``, ``course_key`` (a ``CourseKey``),
``role``, ``granted`` (bool) and ``event``.
"""
