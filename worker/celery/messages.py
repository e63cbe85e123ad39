"""Messages that we publish: in JSON, and without learners in their headers."""

from collections.abc import Callable
from typing import Any

from celery.app.amqp import AMQP

from worker.celery.waiting import route_through_wait
from worker.logs import HIDDEN

REQUEST, SLICE, END = "linking.link_program_enrollments", "linking.link_learners", "linking.finish_job"
MARKER, FORGET = "linking.note_marker", "linking.forget_learner"
RESUMED = "linking.dispatch_resumed"
DELIVER, ACKNOWLEDGE, REFUSE = "linking.deliver_events", "linking.acknowledge_events", "linking.refuse_events"
CONFIRM_TIMEOUT = 10.0
"""Seconds that RabbitMQ has to confirm a message."""


class JsonAMQP(AMQP):
    """Publishes JSON, whatever serializer a signature asks for, and arguments in the body only.

    Celery writes a representation of the arguments into the headers, from where a worker with events shows it.
    """

    published = 0
    """Messages that this process has published."""

    def as_task_v2(self, task_id: str, name: str, *args: Any, **options: Any) -> Any:
        """Return a message; only the arguments of slices, markers and pauses, which are ids and times, are shown."""
        if name not in {SLICE, MARKER, RESUMED}:
            options |= {"argsrepr": HIDDEN, "kwargsrepr": HIDDEN}
        return super().as_task_v2(task_id, name, *args, **options)

    def _create_task_sender(self) -> Callable[..., Any]:
        send = super()._create_task_sender()  # type: ignore[misc] # not in celery-types

        def send_json(*args: Any, wait: float = 0, **options: Any) -> Any:
            if wait > 0:
                options = route_through_wait(options, wait)
            options["confirm_timeout"] = CONFIRM_TIMEOUT
            result = send(*args, **(options | {"serializer": "json"}))
            self.published += 1
            return result

        return send_json
