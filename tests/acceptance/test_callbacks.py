"""Callbacks at the end of a job: ``link=``, ``link_error=``, and the rest of a chain."""

import pytest
from django_celery_results.models import TaskResult

from tests.support.ids import PROGRAM
from tests.support.locks import TakeLock
from tests.support.populations import add_learners
from tests.support.service import ANSWERS, FAILURES, LINK, NEXT, Service, ended, failure_of, open_chords, result_of

ERRORS = {"s-9": "No user found with username nobody"}


@pytest.fixture
def mapping(service: Service) -> dict[str, str]:
    assert service
    return add_learners(2) | {"s-9": "nobody"}


def test_each_callback_gets_the_errors_before_its_own_arguments(service: Service, mapping: dict[str, str]) -> None:
    callbacks = [service.callback(), service.callback(args=("own",)), service.callback(NEXT, immutable=True)]

    task_id = service.send(LINK, str(PROGRAM), mapping, link=callbacks)

    assert result_of(task_id) == ERRORS
    service.broker.wait_until_quiet()
    assert sorted(service.broker.calls(ANSWERS), key=len) == [[ERRORS], [ERRORS, "own"]]
    assert service.broker.calls(NEXT) == [[]]
    roots = {message["headers"]["root_id"] for message in service.broker.queued(ANSWERS)}
    parents = {message["headers"]["parent_id"] for message in service.broker.queued(ANSWERS)}
    assert roots == parents == {task_id}


def test_a_client_of_protocol_version_1_gets_its_callback_too(service: Service, mapping: dict[str, str]) -> None:
    service.use_protocol(1)

    task_id = service.link(mapping)

    assert result_of(task_id) == ERRORS
    service.broker.wait_until_quiet()
    assert service.answers() == [ERRORS]
    rows = TaskResult.objects.values_list("task_args", "task_kwargs")
    assert not any("nobody" in f"{args}{kwargs}" for args, kwargs in rows)


@pytest.mark.parametrize("learners", [0, 3])
def test_the_next_task_of_a_chain_gets_the_errors(service: Service, mapping: dict[str, str], learners: int) -> None:
    part = dict(list(mapping.items())[:learners])

    first, last = service.chain(service.signature(part), service.callback(NEXT), service.callback(ANSWERS))

    expected = ERRORS if learners else {}
    assert result_of(first) == expected
    service.broker.wait_until_quiet()
    (message,) = service.broker.queued(NEXT)
    assert service.broker.calls(NEXT) == [[expected]]
    assert message["headers"]["root_id"] == first
    assert service.broker.queued(ANSWERS) == []  # The service's own worker continues the chain with this one.
    assert last in str(service.broker.embedded(message))


def test_a_failure_calls_only_the_errback_with_the_task_id(service: Service, mapping: dict[str, str]) -> None:
    errback = service.callback(FAILURES)

    first, _ = service.chain(
        service.signature(mapping, program="nonsense", link=service.callback(), link_error=errback),
        service.callback(NEXT),
    )

    assert failure_of(first)[0] == "ValueError"
    service.broker.wait_until_quiet()
    assert service.broker.calls(FAILURES) == [[first]]
    assert service.broker.calls(ANSWERS) == service.broker.calls(NEXT) == []


def test_a_redelivered_end_calls_no_callback_again(service: Service, mapping: dict[str, str], lock: TakeLock) -> None:
    enrollment = lock("SELECT * FROM program_enrollments_programenrollment FOR UPDATE")
    first, _ = service.chain(service.signature(mapping, link=service.callback()), service.callback(NEXT))
    enrollment.wait_for_blocked(2)  # Both pool children run slices: the request has ended.
    job = lock(f"SELECT * FROM worker_linkingjob WHERE id = '{first}' FOR UPDATE")  # noqa: S608
    enrollment.release()
    message = service.broker.wait_for_delivery("linking.finish_job")
    job.wait_for_blocked(1)
    job.release()
    assert result_of(first) == ERRORS
    TaskResult.objects.filter(task_id=first).delete()  # As if the worker had died before it stored the result.

    service.broker.publish(message, redelivered=True)

    assert ended(first).task_name == "linking.finish_job"
    service.broker.wait_until_quiet()
    assert service.broker.calls(ANSWERS) == [[ERRORS]]
    assert service.broker.calls(NEXT) == [[ERRORS]]


def test_jobs_may_be_the_parts_of_a_chord_of_the_callers(service: Service, mapping: dict[str, str]) -> None:
    other = add_learners(1)
    parts = [service.signature(mapping), service.signature(other)]

    first, second = service.chord(parts, service.callback())

    assert (result_of(first), result_of(second)) == (ERRORS, {})
    service.broker.wait_until_quiet()
    assert service.answers() == [[ERRORS, {}]]
    assert open_chords() == 0
