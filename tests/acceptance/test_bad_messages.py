"""Bad arguments: the caller's task fails with the reason, and nothing is written."""

from pathlib import Path
from typing import Any

import pytest
from kombu import Connection
from kombu.serialization import disable_insecure_serializers, enable_insecure_serializers

from linking.models import ProgramEnrollment
from tests.support.broker import TASKS
from tests.support.ids import PROGRAM
from tests.support.rows import enroll, make_user
from tests.support.service import FAILURES, LINK, Service, failure_of, result_of
from tests.support.worlds import snapshot
from worker.models import JobSlice, LearnerOutcome, LinkingJob

KEY, NAME = "key-nobody-may-see", "name-nobody-may-see"
MAPPING = {KEY: NAME}
PLACED = (str(PROGRAM), MAPPING)


UNSTORABLE = "holds a NUL character or half of a surrogate pair, which no database can store; remove it."


@pytest.mark.parametrize(  # tests/unit/test_link_requests.py tests each rule.
    ("args", "options", "text"),
    [
        ((*PLACED, 5), {}, "3 positional arguments given, at most 2 taken: program_uuid, external_keys_to_usernames."),
        (
            PLACED,
            {"kwargs": {"program_uuid": str(PROGRAM)}},
            "program_uuid given twice, by place and by name: give each once.",
        ),
        (
            PLACED[:1],
            {"kwargs": MAPPING},
            "external_keys_to_usernames not given: both program_uuid and external_keys_to_usernames are needed.",
        ),
        ((MAPPING, str(PROGRAM)), {}, "program_uuid is of type dict: expected a UUID or its string."),
        (
            (str(PROGRAM), {"s-1": "ada", KEY: {NAME: 1}}),
            {},
            "entry 2 of external_keys_to_usernames: its LMS username is of type dict, expected a string.",
        ),
        (
            (str(PROGRAM), {"s-1": "ada", f"{KEY}\0": NAME}),
            {},
            f"entry 2 of external_keys_to_usernames: its external user key {UNSTORABLE}",
        ),
        (
            (str(PROGRAM), {"s-1": "ada", KEY: f"{NAME}\ud800"}),
            {},
            f"entry 2 of external_keys_to_usernames: its LMS username {UNSTORABLE}",
        ),
        (PLACED, {"kwargs": {"dry_run": "yes"}}, "dry_run='yes': expected true or false."),
        (
            PLACED,
            {"task_id": "nightly"},
            "task id 'nightly' is not a UUID: leave it to Celery, or send a UUID; it becomes the job's id.",
        ),
    ],
)
def test_bad_arguments_fail_the_task_and_nothing_is_written(
    service: Service, args: tuple[Any, ...], options: dict[str, Any], text: str
) -> None:
    make_user("ada")
    enroll("s-1")
    before = snapshot()

    task_id = service.send(LINK, *args, link=service.callback(), link_error=service.callback(FAILURES), **options)

    assert failure_of(task_id) == ("ValueError", text)
    service.broker.wait_until_quiet()
    assert service.broker.calls(FAILURES) == [[task_id]]
    assert service.answers() == []
    assert "nobody-may-see" not in text
    assert not LinkingJob.objects.exists()
    assert not JobSlice.objects.exists()
    assert not LearnerOutcome.objects.exists()
    assert snapshot() == before


def test_too_many_relinks_fail_the_task_and_leave_a_refused_job(service: Service) -> None:
    enroll("s-1", make_user("ada"))
    make_user("bob")
    before = snapshot()

    task_id = service.link({"s-1": "bob"}, max_relinks=0)

    kind, text = failure_of(task_id)
    assert (kind, text.split(":")[0]) == (
        "JobRefusedError",
        "1 of 1 program enrollments would change hands, max_relinks=0 allows 0",
    )
    service.broker.wait_until_quiet()
    assert service.broker.calls(FAILURES) == [[task_id]]
    assert snapshot() == before
    assert LinkingJob.objects.get().state == "refused"


def test_another_request_under_a_used_task_id_fails_and_keeps_the_first_result(service: Service) -> None:
    task_id = service.link({"s-1": "ada"})
    answer = result_of(task_id)
    service.broker.wait_until_quiet()

    service.link({"s-1": "bob"}, task_id)

    service.broker.wait_until_quiet()
    assert service.broker.calls(FAILURES) == [[task_id]]
    assert service.answers() == [answer]
    assert result_of(task_id) == answer
    assert LinkingJob.objects.count() == 1


class Harm:
    """An object that creates a file when its pickle is loaded."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def test_a_pickle_is_never_loaded(service: Service, worker_env: dict[str, str], tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    headers = {"lang": "py", "task": LINK, "id": "8b8e8d3e-8f2e-4d4e-9a55-7d0a1b2c3d4e"}
    body: tuple[Any, ...] = (PLACED, {"x": Harm(harm)}, {})

    enable_insecure_serializers(["pickle"])
    try:
        with Connection(worker_env["CELERY_BROKER_URL"]) as connection:
            connection.SimpleQueue(TASKS).put(body, serializer="pickle", headers=headers)
    finally:
        disable_insecure_serializers()
    service.broker.wait_until_quiet()

    assert not harm.exists()
    assert not LinkingJob.objects.exists()
    assert ProgramEnrollment.objects.count() == 0
