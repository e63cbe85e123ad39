"""How the slices of a job, its end and its callbacks are sent: the one place that builds a canvas.

Every way in (message, command, page, file, recovery) comes here. The open slices of a job are sent as a chord whose
body is ``linking.finish_job`` under the caller's task id. The ledger decides whether the job is over, so a chord that
is lost, sent twice, or ends twice does no harm.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any
from uuid import UUID

from celery import Signature, chord, signature
from celery.exceptions import Ignore, TaskPredicate
from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import transaction
from django.utils import timezone
from kombu.utils.json import dumps

from worker import jobs
from worker.celery.application import app
from worker.celery.messages import END, MARKER, REQUEST, RESUMED, SLICE
from worker.celery.sending import note_fault, send_or_find_fault
from worker.celery.waiting import is_on_rabbitmq
from worker.exceptions import JobError, JobRefusedError
from worker.jobs.pauses import held_jobs
from worker.jobs.recovery import note_resent
from worker.jobs.request import LinkRequest
from worker.jobs.routing import Route, route_of
from worker.models import Cursor, LinkingJob, Pause
from worker.queue_names import RECOVERY

log = logging.getLogger(__name__)

MAX_PRIORITY = 9
"""The highest priority in Celery and RabbitMQ."""
END_OPTIONS = {
    **{name: name for name in ("chord", "group_index", "root_id", "parent_id")},
    "task_id": "id",  # As the caller spelled it.
    "link_error": "errbacks",
    "group_id": "group",
}
"""Options of the message that ends a job, by their names in :attr:`LinkingJob.reply`."""


def enqueue(job_id: UUID, request: LinkRequest) -> None:
    """Send a request for a job, as any service does.

    Raises:
        JobError: the message would be larger than a worker accepts.
        kombu.exceptions.OperationalError: the broker does not answer.
    """
    mapping = {learner.external_user_key: learner.lms_username for learner in request.learners}
    arguments = (str(request.program_uuid), mapping)
    size, limit = len(dumps([arguments, request.options])), settings.LINKING_MAX_REQUEST_BYTES
    if size > limit:
        msg = (
            f"the message has {size:,} bytes, more than LINKING_MAX_REQUEST_BYTES ({limit:,}): send it as several jobs,"
            " or import it as a file."
        )
        raise JobError(msg)
    app.send_task(REQUEST, arguments, request.options, task_id=str(job_id))


def dispatch(job: LinkingJob) -> None:
    """Begin a job that is in the ledger, unless it was dispatched before or waits for another job.

    Raises:
        kombu.exceptions.OperationalError: the broker does not answer; recovery sends the job later.
    """
    if job.is_final or job.dispatched is not None or jobs.must_wait(job):
        return
    if job.state == LinkingJob.State.RECEIVED:
        with suppress(JobRefusedError):  # Its end says so.
            jobs.start(job)
    send(job)
    jobs.note_dispatched(job)


def send(job: LinkingJob) -> None:
    """Send the open slices of a job, or its end if none is open."""
    numbers = [] if job.state in {LinkingJob.State.REFUSED, LinkingJob.State.FAILED} else jobs.open_slices(job)
    if not numbers:
        send_end(job)
        return
    route = route_of(job)
    slices = [_signature(SLICE, str(job.pk), number).set(**_options(route)) for number in numbers]
    _with_end(job, lambda end: chord(slices, end).apply_async(task_id=end.options["task_id"]))


def send_end(job: LinkingJob) -> None:
    """Send the end of a job."""
    _with_end(job, lambda end: end.apply_async())


def send_callbacks(task_id: str, reply: Mapping[str, Any], errors: jobs.Errors) -> None:
    """Send the caller's ``link=`` callbacks, and the next task of the chain that the request is part of.

    One that cannot be sent is noted on the job of that id, and the others are sent.

    Args:
        task_id: id of the task that the callbacks belong to.
        reply: see :attr:`LinkingJob.reply`.
        errors: the first argument of each callback.
    """
    context = {"root_id": reply.get("root_id") or task_id, "parent_id": task_id}
    callbacks, chain = reply.get("callbacks") or (), reply.get("chain")
    named = [(f"callback {place} of {len(callbacks)}", one, context) for place, one in enumerate(callbacks, 1)]
    if chain:
        named.append(("the next task of its chain", chain[-1], context | {"chain": chain[:-1]}))
    for name, callback, options in named:
        if fault := send_or_find_fault(partial(_send_callback, callback, errors, options)):
            note_fault(task_id, name, fault)


def send_markers(routes: Iterable[Route]) -> None:
    """Send a marker through each of the routes."""
    for route in routes:
        _signature(MARKER, route.name, timezone.now().isoformat()).apply_async(**_options(route))


def dispatch_all(found: Iterable[LinkingJob]) -> None:
    """Dispatch jobs; leave those that cannot be sent to recovery."""
    for job in found:
        with suppress(Ignore), left_to_recovery(job.pk):
            dispatch(job)


def send_resumed(pause: Pause, after: Cursor | None = None) -> None:
    """Send the message that lets a worker dispatch the jobs that a removed pause held; see :func:`dispatch_held`."""
    arguments = (pause.kind, str(pause.target), after)
    signature(RESUMED, arguments, immutable=True, app=app).apply_async(queue=RECOVERY)


def dispatch_held(pause: Pause, after: Cursor | None = None) -> list[LinkingJob]:
    """Send the open slices of jobs that a removed pause held; return these jobs.

    A run is bounded: it sends a message for the next one, which continues ``after`` the last job.
    """
    held, after = held_jobs(Pause.Kind(pause.kind), pause.target, after)
    for job in held:
        with suppress(Ignore), left_to_recovery(job.pk):
            if job.dispatched is None:
                dispatch(job)
            else:
                send(job)
                note_resent(job)
    if after is not None:
        send_resumed(pause, after)
    return held


@contextmanager
def left_to_recovery(job_id: UUID) -> Iterator[None]:
    """Turn a failure to send into ``Ignore``: the job is in the ledger, and recovery sends it later.

    kombu does not always raise its own errors when a broker goes away.
    """
    try:
        yield
    except (TaskPredicate, JobError, DatabaseFault):
        raise
    except Exception:
        log.exception("messages of job %s could not be sent; recovery sends them later", job_id)
        raise Ignore from None


def _send_callback(callback: Mapping[str, Any], errors: jobs.Errors, options: Mapping[str, Any]) -> None:
    # A chord is counted in the database: an error of its counter must not end the transaction that the job ends in.
    with transaction.atomic() if callback.get("subtask_type") else nullcontext():
        signature(dict(callback), app=app).apply_async((errors,), **options)


def _with_end(job: LinkingJob, send: Callable[[Signature[jobs.Errors]], object]) -> None:
    """Send a message that holds the end of a job; without what the caller asked for, if it cannot be sent with it."""
    if fault := send_or_find_fault(lambda: send(_end(job))):
        note_fault(str(job.pk), "the end of the job with the caller's error callbacks and chord", fault)
        send(_signature(END, str(job.pk)).set(task_id=str(job.pk)))


def _end(job: LinkingJob) -> Signature[jobs.Errors]:
    """Return the end of a job, under the task id of its caller and in the canvas that the caller put it in."""
    options = {name: job.reply[key] for name, key in END_OPTIONS.items() if key in job.reply}
    return _signature(END, str(job.pk)).set(**{"task_id": str(job.pk), **options})


def _options(route: Route) -> dict[str, Any]:
    if not is_on_rabbitmq(app):
        return {"queue": route.queue, "priority": route.priority}
    # The highest number comes first there; requests, ends and callbacks have none, and neither have small slices.
    return {"queue": route.queue} | ({"priority": MAX_PRIORITY - route.priority} if route.priority else {})


def _signature(name: str, *args: str | int) -> Signature[jobs.Errors]:
    return signature(name, args, immutable=True, app=app)
