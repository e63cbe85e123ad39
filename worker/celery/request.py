"""Requests and tasks: learners stay inside the worker, and no message is lost when the database or the broker is away.

Arguments and results name learners. Celery would put their representation into events (Flower), stored results and
logs; it is redacted in the request, which all three read.
"""

import time
from traceback import format_tb
from typing import Any, cast

from celery import Task
from celery.exceptions import InvalidTaskError, Reject
from celery.states import READY_STATES
from celery.utils.log import get_task_logger
from celery.utils.saferepr import saferepr
from celery.utils.time import get_exponential_backoff_interval
from celery.worker.request import Request
from django.db import Error as DatabaseFault

from linking.bulk import error_name, is_limit, is_transient
from worker.celery.messages import END
from worker.celery.results import LedgerResults, has_job
from worker.exceptions import DatabaseFailureError, RequestFailedError
from worker.jobs.attempts import begin_attempt, end_attempts
from worker.logs import HIDDEN, forget_database_errors

log = get_task_logger(__name__)

MAX_RETRY_INTERVAL = 30
"""Maximum seconds between retries while the database is away or locked: all is done within a minute afterwards."""

MAX_DEATHS = 5
"""Workers that a request may end before it is refused."""
MAX_FAILURES = 5
"""Attempts at a request that a limit of the database may end before it is refused."""
FAILURES = "linking_failures"
"""Header that counts these attempts: with a full disk the database could not."""


RESULT_SHOWN = 1
"""Characters of the result in the line "task … succeeded in …"."""
NO_RESULT = saferepr(None, RESULT_SHOWN)
"""What Celery shows as the result of a task that returned none."""

PUBLISH_INTERVALS = (1, 1, 2, 4, 8, 14)
"""Seconds after each attempt to send a retry; then the message is requeued."""
CHORD_CHECKS = 3
"""Checks, a second apart, whether the chord of a request is counted, before the last."""


class RedactedRequest(Request):
    """A request whose arguments and result stay inside the worker."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(*args, **kwargs)
        except (TypeError, ValueError):
            # Celery would end the worker, and the next one that gets the message.
            msg = "the body of the message is not [args, kwargs, callbacks]"
            raise InvalidTaskError(msg) from None
        # The pool child and the result backend read the representation that the sender wrote into the headers.
        self._argsrepr = self._kwargsrepr = HIDDEN
        self.request_dict["argsrepr"] = self.request_dict["kwargsrepr"] = HIDDEN

    def revoked(self) -> bool:
        """Return whether the message is revoked; the end of a job never is.

        The end has the caller's task id: a caller that revokes it means a job that has not begun.
        """
        return self.type != END and bool(super().revoked())

    def info(self, safe: bool = False) -> Any:
        """Return what ``celery inspect`` and Flower show of an active task, without its arguments."""
        return super().info(safe=True)

    def send_event(self, type: str, **fields: Any) -> None:
        """Send an event without the task's result."""
        if "result" in fields:
            fields["result"] = HIDDEN
        super().send_event(type, **fields)


class SubmissionRequest(RedactedRequest):
    """A request that becomes a job: it sends no event of its success, the end of the job does under the same id."""

    def send_event(self, type: str, **fields: Any) -> None:
        """Send an event, unless it is that of a request that has become a job."""
        if type != "task-succeeded" or fields.get("result") != NO_RESULT:
            super().send_event(type, **fields)


class RequeueingTask(Task[Any, Any]):
    """A task that is retried while the database is away, and requeued if no retry can be sent."""

    abstract = True
    max_retries = None  # An outage may last.

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task; retry it, however often, after a failure of the database that passes.

        Raises:
            DatabaseFailureError: another failure of the database.
        """
        try:
            return self.attempt(*args, **kwargs)
        except DatabaseFault as error:
            failure = error
        except Exception as error:
            forget_database_errors(error)
            raise
        # Not in the clause above: the error, whose text may quote rows, would be the context of those raised here.
        return self.handle_database_failure(failure)

    def attempt(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task once."""
        return self.run(*args, **kwargs)

    def handle_database_failure(self, error: DatabaseFault) -> Any:
        """Retry the task if the failure passes, and fail it if not, without the text of the database."""
        redacted = DatabaseFailureError(error_name(error))
        if not is_transient(error):
            log.error("%s failed in the database: %s\n%s", self.name, redacted, "".join(format_tb(error.__traceback__)))
            raise redacted
        interval = get_exponential_backoff_interval(1, self.request.retries, MAX_RETRY_INTERVAL, full_jitter=True)
        return self.retry(exc=redacted, countdown=interval)

    def retry(self, *args: Any, **options: Any) -> Any:
        """Retry the task; if the retry cannot be sent for a while, requeue its message: Celery would drop it.

        RabbitMQ counts a message that is requeued, and gives it up in the end.
        """
        for interval in PUBLISH_INTERVALS:
            try:
                return super().retry(*args, **options)
            except Reject as rejected:
                reason = rejected.args[0]
            time.sleep(interval)
        raise Reject(reason, requeue=True)


class RedactedTask(RequeueingTask):
    """A task whose requests are redacted and whose return value no log shows."""

    abstract = True
    Request = "worker.celery.request:RedactedRequest"
    resultrepr_maxsize = RESULT_SHOWN


class RequestTask(RedactedTask):
    """A request that becomes a job: until the ledger has the job, a limited number of attempts is made."""

    abstract = True
    Request = "worker.celery.request:SubmissionRequest"

    def leave_to_job(self) -> None:
        """Let the task end without a result, callbacks and events: the end of its job has them, under the same id.

        Celery has an exception for this, ``Ignore``, whose traceback it formats and sends to the main process: 3 ms.
        """
        self.request.ignore_result = True
        self.request.callbacks = self.request.chain = self.request.chord = None

    def attempt(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task, unless it has ended its worker each time; only redeliveries are counted.

        Raises:
            RequestFailedError: it has ended too many workers.
            ValueError: it is part of a chord that would never end.
        """
        task_id = self.request.id
        self._require_counted_chord()
        if task_id is None or not (self.request.delivery_info or {}).get("redelivered"):
            return self.run(*args, **kwargs)
        attempts = begin_attempt(task_id)
        try:
            if attempts >= MAX_DEATHS:
                msg = (
                    f"the request has ended {MAX_DEATHS} workers, and was not begun again: send it as several jobs, and"
                    " see the workers' log and memory."
                )
                raise RequestFailedError(msg)
            return self.run(*args, **kwargs)
        finally:
            end_attempts(task_id)  # Not reached in an attempt that ends its worker.

    def handle_database_failure(self, error: DatabaseFault) -> Any:
        """Retry the request after a limit of the database a few times only: the limit may be the request's own."""
        if not is_limit(error):
            return super().handle_database_failure(error)
        failures = getattr(self.request, FAILURES, 0) + 1
        if failures >= MAX_FAILURES:
            msg = (
                f"the database ended {failures} attempts at the request ({error_name(error)}): check the statement"
                " timeout of the worker's role, disk and memory of the database, or send it as several jobs."
            )
            raise RequestFailedError(msg)
        interval = get_exponential_backoff_interval(1, failures - 1, MAX_RETRY_INTERVAL, full_jitter=True)
        headers = {**(self.request.headers or {}), FAILURES: failures}
        return self.retry(exc=DatabaseFailureError(error_name(error)), countdown=interval, headers=headers)

    def _require_counted_chord(self) -> None:
        """Refuse a request that is part of a chord which is counted in another result backend, before it is a job.

        Only where the chord is counted can its body be sent after the last part.
        """
        request, backend = self.request, cast("LedgerResults", self.backend)
        if request.chord is None or (request.group and backend.counts_chord(request.group)):
            return
        task_id = str(request.id)
        if backend.get_state(task_id) in READY_STATES or has_job(task_id):
            return  # A redelivery: the chord may have ended.
        if request.retries < CHORD_CHECKS:  # Its sender may not have written the counter yet.
            raise self.retry(countdown=1)
        msg = (
            "the request is part of a chord whose results are counted elsewhere, so that its body would never be"
            " called: give the chord's sender the result backend of this worker, or use link= callbacks instead."
        )
        raise ValueError(msg)
