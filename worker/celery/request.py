"""What a worker tells the outside of a task, which is never its arguments, its result, or an exception's text but ours.

Arguments and results name learners. Celery would put their representation into events (Flower), into stored results and
into logs; here they are scrubbed at the one place that all three read from.
"""

import time
from typing import Any

from celery import Task
from celery.exceptions import InvalidTaskError, Reject
from celery.worker.request import Request

END_OF_JOB = "linking.finish_job"
HIDDEN = "(not shown: it may name learners)"


class RedactedRequest(Request):
    """A request whose arguments and outcome stay inside the worker."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(*args, **kwargs)
        except (TypeError, ValueError):
            # Celery would end the worker, and give the message to the next one.
            msg = "the body of the message is not [args, kwargs, callbacks]"
            raise InvalidTaskError(msg) from None
        # The pool child and the result backend read the representation that the sender wrote into the headers.
        self._argsrepr = self._kwargsrepr = HIDDEN
        self.request_dict["argsrepr"] = self.request_dict["kwargsrepr"] = HIDDEN

    def revoked(self) -> bool:
        """Tell whether the message is to be discarded: never the end of a job, whose learners are linked by then.

        It has the id of the caller's task: whoever revokes that means a job that has not begun.
        """
        return self.type != END_OF_JOB and bool(super().revoked())

    def info(self, safe: bool = False) -> Any:
        """Return what ``celery inspect`` and Flower show of a task in hand: never its arguments."""
        return super().info(safe=True)

    def send_event(self, type: str, **fields: Any) -> None:
        """Send an event without what the task returned."""
        if "result" in fields:
            fields["result"] = HIDDEN
        super().send_event(type, **fields)


class RequeueingTask(Task[Any, Any]):
    """A task whose message stays in the broker until something came of it."""

    abstract = True

    def retry(self, *args: Any, **options: Any) -> Any:
        """Put the task off; give its message back where that cannot be sent, which Celery would drop."""
        try:
            return super().retry(*args, **options)
        except Reject as rejected:
            time.sleep(1)  # It comes back at once.
            raise Reject(rejected.args[0], requeue=True) from None


class RedactedTask(RequeueingTask):
    """A task whose requests are private, and whose return value no log shows."""

    abstract = True
    Request = "worker.celery.request:RedactedRequest"
    resultrepr_maxsize = 1  # Characters of the result in the line "task … succeeded in …".
