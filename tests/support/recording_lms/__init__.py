"""An LMS whose receivers record every call: the platform's modules are stand-ins (``tests/support/platform``).

The packages that plug-ins use are real: openedx-events, openedx-filters, edx-django-utils, django-simple-history.
``python -m tests.support.recording_lms`` runs it as a process that reads commands, see
:class:`tests.support.lms.process.LmsProcess`. It links and undoes learners one by one, as the facts about the LMS say,
and it runs the task of the plug-in. Each call of a receiver, deletion from the cache, tracking record and task is a row
of the table ``recording_lms_record``, written in the transaction in which the call was made.
"""
