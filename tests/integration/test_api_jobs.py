"""Jobs over HTTP: submitted, repeated, refused, read page by page."""

import json
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from tests.support.api import JOBS, ApiClient, problem_of
from tests.support.ids import PROGRAM
from tests.support.jobs import linked, run, run_job, submit
from tests.support.rows import enroll, make_user
from worker import jobs
from worker.jobs.request import parse_link_request
from worker.models import LinkingJob

pytestmark = pytest.mark.usefixtures("redis_url")

MAPPING = {"s-1": "ada", "s-2": "nobody"}


@pytest.fixture
def client() -> ApiClient:
    return ApiClient()


def job_of(response: object) -> LinkingJob:
    return LinkingJob.objects.get(pk=response.json()["id"])  # type: ignore[attr-defined]


def test_a_job_is_submitted_and_read(client: ApiClient) -> None:
    make_user("ada")
    enroll("s-1")

    accepted = client.submit(MAPPING, dry_run=False, max_relinks="5%", learners_per_subtask=1)
    job = job_of(accepted)
    before = client.get(accepted["Location"]).json()
    run(job)
    after = client.get(accepted["Location"]).json()

    assert (accepted.status_code, accepted["Location"]) == (202, f"{JOBS}/{job.pk}")
    assert accepted.json() == {name: value for name, value in before.items() if name not in {"errors", "next"}} | {
        name: accepted.json()[name] for name in ("state", "started")
    }
    assert job.options == {"dry_run": False, "max_relinks": "5%", "learners_per_subtask": 1} == before["options"]
    assert (before["state"], before["ended"], before["total"], before["counts"]) == ("running", False, 2, {})
    assert (after["state"], after["ended"], after["counts"]) == ("done", True, {"linked": 1, "no_user": 1})
    assert (after["kind"], after["program_uuid"], after["message"]) == ("link", str(PROGRAM), "")
    assert [after[name] is None for name in ("created", "started", "finished", "purged")] == [False] * 3 + [True]
    message = "No user found with username nobody"
    assert after["errors"] == [{"entry": 2, "external_user_key": "s-2", "outcome": "no_user", "message": message}]
    assert after["next"] is None


def test_its_messages_are_sent_and_the_token_is_its_source(client: ApiClient) -> None:
    job = job_of(ApiClient(client.secret).submit(MAPPING))

    assert job.dispatched is not None
    assert job.source.startswith("HTTP: ")


def test_a_repeat_with_the_same_key_is_the_same_job(client: ApiClient) -> None:
    first, again = (client.submit(MAPPING, key="spring/1") for _ in range(2))

    assert [response.status_code for response in (first, again)] == [202, 202]
    assert first["Location"] == again["Location"]
    assert LinkingJob.objects.get().idempotency_key == "spring/1"


def test_another_payload_with_the_same_key_is_a_conflict(client: ApiClient) -> None:
    first = job_of(client.submit(MAPPING, key="spring/1"))

    status, detail = problem_of(client.submit({"s-1": "eve"}, key="spring/1"))

    assert (status, LinkingJob.objects.count()) == (409, 1)
    assert f"belongs to job {first.pk}" in detail


def test_a_job_that_the_relink_guard_refuses_is_a_job_in_the_state_refused(client: ApiClient) -> None:
    make_user("ada")
    enroll("s-1", make_user("eve"))

    refused = client.submit(MAPPING, key="spring/1", max_relinks=0)
    again = client.submit(MAPPING, key="spring/1", max_relinks=0)

    assert [response.status_code for response in (refused, again)] == [202, 202]
    assert refused["Location"] == again["Location"]
    shown = client.get(refused["Location"]).json()
    assert (shown["state"], shown["ended"], shown["counts"], shown["errors"]) == ("refused", True, {}, [])
    assert shown["message"].startswith("1 of 2 program enrollments would change hands")


def test_errors_are_read_page_by_page_however_many_there_are(client: ApiClient, settings: Settings) -> None:
    settings.LINKING_MAX_RESULT_ERRORS = 3
    make_user("ada")
    enroll("linked")
    errors = {f"s-{n}": f"nobody-{n}" for n in range(25)}
    job = run_job({"s-0": "nobody-0", "linked": "ada"} | errors)
    path, entries, pages = f"{JOBS}/{job.pk}?limit=10", [], 0

    while path:
        page = client.get(path).json()
        entries += [error["entry"] for error in page["errors"]]
        path, pages = page["next"], pages + 1

    assert entries == [1, *range(3, 27)]
    assert pages == 3
    assert job.errors_cut
    assert len(client.get(f"{JOBS}/{job.pk}?after=25").json()["errors"]) == 1


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after=-1", f"after={2**31}", "after=1e3"])
def test_a_page_that_cannot_be_is_refused(client: ApiClient, query: str) -> None:
    status, detail = problem_of(client.get(f"{JOBS}/{submit(MAPPING).pk}?{query}"))

    assert status == 400
    assert detail.startswith(query.partition("=")[0])


def test_reading_takes_the_same_statements_however_large_the_job(
    client: ApiClient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    small, large = (run_job({f"s-{n}": f"u-{n}" for n in range(number)}) for number in (2, 2_000))
    client.get(f"{JOBS}/{small.pk}")  # Notes that the token was used.

    for job in (small, large):
        with django_assert_num_queries(4):  # The token, its allowance, the job, the errors.
            client.get(f"{JOBS}/{job.pk}")


def test_a_caller_that_waits_for_a_large_job_makes_nobody_read_its_learners(
    client: ApiClient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_user("ada")
    enroll("s-1")
    waiting, clean = submit({"s-2": "eve"}), linked({"s-1": "ada"})
    client.get(f"{JOBS}/{clean.pk}")

    with django_assert_num_queries(4) as captured:  # One reads the slices of the open job.
        client.get(f"{JOBS}/{waiting.pk}")
    with django_assert_num_queries(3):
        client.get(f"{JOBS}/{clean.pk}")

    assert "worker_learneroutcome" not in str(captured.captured_queries)


def test_a_job_whose_learners_were_purged_keeps_its_counts(client: ApiClient) -> None:
    job = run_job(MAPPING)
    job.learners.all().delete()
    LinkingJob.objects.filter(pk=job.pk).update(purged=timezone.now())

    shown = client.get(f"{JOBS}/{job.pk}").json()

    assert shown["counts"] == {"no_user": 2}
    assert (shown["errors"], shown["next"]) == ([], None)
    assert shown["purged"] is not None


def test_an_undo_can_be_read(client: ApiClient) -> None:
    make_user("ada")
    enroll("s-1")
    undoing = jobs.submit_undo(uuid4(), linked({"s-1": "ada"}).pk)
    run(undoing)

    shown = client.get(f"{JOBS}/{undoing.pk}").json()

    assert (shown["kind"], shown["counts"], shown["errors"]) == ("undo", {"undone": 1}, [])


@pytest.mark.parametrize("job_id", [uuid4(), "nonsense", "%00", UUID(int=0).hex])
def test_a_job_that_is_not_there_is_not_found(client: ApiClient, job_id: object) -> None:
    assert problem_of(client.get(f"{JOBS}/{job_id}")) == (404, "there is no such job.")


INVALID: list[dict[str, object]] = [
    {},
    {"program_uuid": "nonsense", "external_keys_to_usernames": {}},
    {"program_uuid": 5, "external_keys_to_usernames": {}},
    {"program_uuid": str(PROGRAM), "external_keys_to_usernames": [1]},
    {"program_uuid": str(PROGRAM), "external_keys_to_usernames": {"s-1": None}},
    {"program_uuid": str(PROGRAM), "external_keys_to_usernames": {"s-1": "a\0"}},
    {"program_uuid": str(PROGRAM), "external_keys_to_usernames": {}, "max_relink": 5},
    {"program_uuid": str(PROGRAM), "external_keys_to_usernames": {}, "max_relinks": -1},
    {"program_uuid": str(PROGRAM), "external_keys_to_usernames": {}, "dry_run": None},
    {"program_uuid": str(PROGRAM), "external_keys_to_usernames": {}, "learners_per_subtask": [0]},
    {"program_uuid": str(PROGRAM), "external_keys_to_usernames": {str(n): "u" for n in range(100_001)}},
]


@pytest.mark.parametrize("arguments", INVALID, ids=map(str, range(len(INVALID))))
def test_invalid_arguments_are_refused_with_the_text_of_the_message(
    client: ApiClient, arguments: dict[str, object]
) -> None:
    with pytest.raises(ValueError) as message:  # noqa: PT011 - its text is compared
        parse_link_request((), arguments)

    assert problem_of(client.post(json.dumps(arguments))) == (400, str(message.value))
    assert not LinkingJob.objects.exists()


def test_the_largest_mapping_is_submitted(client: ApiClient) -> None:
    mapping = {f"student-{n:06}": f"user-{n:06}" for n in range(settings.LINKING_MAX_MAPPING)}

    accepted = client.submit(mapping)

    assert accepted.status_code == 202, accepted.content[:500]
    assert accepted.json()["total"] == 100_000
