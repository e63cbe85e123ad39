"""Many callers at once: small jobs over the same learners run in turn, in the order in which the ledger got them.

``LINKING_CALLER_WORLDS=100`` runs that many random worlds, new ones each time; without it a fixed set of 12 runs.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django_celery_results.models import TaskResult
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.support import reference
from tests.support.claim_order import ClaimOrder, logged_claims
from tests.support.locks import TakeLock
from tests.support.populations import add_learners
from tests.support.service import ANSWERS, FAILURES, LINK, Service, result_of
from tests.support.threads import at_once
from tests.support.waiting import wait_until
from tests.support.worlds import World, build, clear, snapshot, worlds
from tests.support.worlds.examples import long_timeout, random_worlds
from tests.support.worlds.strategies import SPELLINGS
from worker.models import Claim, LearnerOutcome, LinkingJob

pytestmark = long_timeout(12, "LINKING_CALLER_WORLDS")

CLIENTS = 4
"""Clients that send at once."""
BURST = 500
"""Jobs of one learner in a burst."""
SHARED, TURNS = 10, 5
"""Learners of the burst that several jobs are about, and the number of these jobs: a tenth of the burst."""

Mapping = dict[str, str]


@pytest.fixture
def claim_order(celery_worker_process: object) -> Iterator[ClaimOrder]:
    assert celery_worker_process
    if connection.vendor != "postgresql":
        pytest.skip("the trigger that logs claims is written for PostgreSQL")
    with logged_claims() as order:
        yield order


@pytest.fixture
def clients(
    service: Service, start_worker: Callable[..., object], worker_env: dict[str, str]
) -> Iterator[list[Service]]:
    """Services that send at once, and workers with four processes."""
    assert service
    start_worker()
    services = [Service(worker_env["CELERY_BROKER_URL"]) for _ in range(CLIENTS)]
    yield services
    for client in services:
        client.close()


@st.composite
def small_jobs(draw: st.DrawFn) -> tuple[World, list[Mapping]]:
    """Draw a world, and 8 to 16 mappings of one to three of its learners: keys in any case, swaps, chains."""
    world = draw(worlds().filter(lambda world: any(_stored(world))))
    stored = dict(_stored(world))
    spelled = [key for family in SPELLINGS if stored.keys() & {*family} for key in family]
    names = st.sampled_from(
        [*(account.username for account in world.accounts), *filter(None, stored.values()), "nobody"]
    )
    entry = st.tuples(st.sampled_from(spelled), names)
    loose = st.lists(entry, min_size=1, max_size=3)
    linked = [(key, name) for key, name in stored.items() if name]
    if len(linked) > 1:
        pair = st.permutations(linked).map(lambda learners: learners[:2])
        swap = pair.map(lambda two: [(two[0][0], two[1][1]), (two[1][0], two[0][1])])
        loose = st.one_of(loose, loose, swap)
    return world, [dict(entries) for entries in draw(st.lists(loose, min_size=8, max_size=16))]


def _stored(world: World) -> Iterator[tuple[str, str | None]]:
    """Yield the keys of the program with the usernames that they are linked to."""
    for enrollment in world.enrollments:
        if enrollment.key is not None and enrollment.program == world.program_uuid:
            linked = enrollment.account
            yield enrollment.key, None if linked is None else world.accounts[linked].username


def test_small_jobs_of_several_clients_leave_the_rows_and_errors_of_one_job_after_the_other(
    clients: list[Service], claim_order: ClaimOrder
) -> None:
    waited = 0

    # Without the phase that reduces a failing example: another order of the same messages may not fail.
    @settings(random_worlds(12, "LINKING_CALLER_WORLDS"), phases=[Phase.explicit, Phase.generate])
    @given(drawn=small_jobs())
    def run(drawn: tuple[World, list[Mapping]]) -> None:
        nonlocal waited
        world, mappings = drawn
        LinkingJob.objects.all().delete()
        claim_order.clear()
        clear()
        build(world)

        def send(client: int) -> list[tuple[str, Mapping]]:
            program = str(world.program_uuid)
            return [(clients[client].send(LINK, program, each), each) for each in mappings[client::CLIENTS]]

        sent = {task_id: mapping for part in at_once(CLIENTS, send) for task_id, mapping in part}
        errors = {task_id: result_of(task_id) for task_id in sent}
        clients[0].broker.wait_until_quiet()
        rows = snapshot()
        in_order = [str(job_id) for job_id in claim_order.jobs()]
        assert sorted(in_order) == sorted(sent)
        assert not Claim.objects.exists()
        waited += LinkingJob.objects.exclude(waits_for=[]).count()

        clear()
        build(world)
        for task_id in in_order:
            expected = reference.link_program_enrollments(world.program_uuid, sent[task_id])
            assert errors[task_id] == expected.errors
        assert snapshot() == rows

    run()
    assert waited > 12, "the jobs hardly met: the test shows nothing"


def test_a_burst_of_jobs_of_one_learner_is_answered_once_each_and_those_of_a_learner_run_in_turn(
    clients: list[Service], claim_order: ClaimOrder, row_lock: TakeLock
) -> None:
    learners = list(add_learners(BURST - SHARED * (TURNS - 1)).items())
    shared = [
        {(key if turn % 2 else key.upper()): f"{name}-{turn}" for key, name in (learner,)}
        for turn in range(TURNS)
        for learner in learners[:SHARED]
    ]
    User.objects.bulk_create(User(username=name) for mapping in shared for name in mapping.values())
    first, *_ = learners[0]
    of_first = shared[::SHARED]
    others = [mapping for mapping in shared if mapping not in of_first]
    others += [{key: name} for key, name in learners[SHARED:]]
    random.Random(11).shuffle(others)  # noqa: S311 - for a fixed order, not secrecy

    # A client that sends the jobs of a learner one after the other, each once the ledger has the one before.
    held = row_lock(first)
    in_turn = []
    for mapping in of_first:
        in_turn.append(clients[0].link(mapping))
        wait_until(LinkingJob.objects.filter(pk=in_turn[-1]).exists, "the job is in the ledger")
    parts = at_once(CLIENTS, lambda n: [clients[n].link(mapping) for mapping in others[n::CLIENTS]])
    held.release()

    sent = [*in_turn, *(task_id for part in parts for task_id in part)]
    assert len(sent) == BURST
    results = TaskResult.objects.filter(task_id__in=sent)
    wait_until(lambda: results.count() == BURST, "each job has a result")
    assert Counter(results.values_list("status", "result")) == {("SUCCESS", "{}"): BURST}
    clients[0].broker.wait_until_quiet()
    callers = Counter(message["headers"]["parent_id"] for message in clients[0].broker.queued(ANSWERS))
    assert callers == Counter(sent)
    assert clients[0].broker.queued(FAILURES) == []
    assert not Claim.objects.exists()

    order = [str(job_id) for job_id in claim_order.jobs()]
    assert [task_id for task_id in order if task_id in in_turn] == in_turn
    users = dict(User.objects.values_list("username", "id"))
    by_job = {str(row.job_id): row for row in LearnerOutcome.objects.all()}
    for key, _ in learners[:SHARED]:
        turns = [by_job[task_id] for task_id in order if by_job[task_id].external_user_key.lower() == key]
        assert [turn.outcome for turn in turns] == ["linked", *["relinked"] * (TURNS - 1)]
        former = [_former_user(turn) for turn in turns]
        assert former == [None, *(users[turn.lms_username] for turn in turns[:-1])]


def _former_user(learner: LearnerOutcome) -> Any:
    """Return the id of the user that a linked learner had before, or None."""
    assert learner.before is not None
    return learner.before["user"][0]
