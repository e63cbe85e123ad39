"""Concurrent jobs: those that share learners run one after the other, others do not wait."""

from linking.models import ProgramEnrollment
from tests.acceptance.recovery.conftest import StartWorker
from tests.support.locks import TakeLock
from tests.support.populations import add_learners
from tests.support.rows import make_user
from tests.support.sent_jobs import send_job
from tests.support.service import FAILURES, Service, failure_of, result_of
from tests.support.waiting import wait_until
from worker.models import LinkingJob


def test_a_job_waits_for_those_with_the_same_learners(
    start_worker: StartWorker, caller: Service, row_lock: TakeLock
) -> None:
    """The first job is blocked at one learner; without waiting, the second would link the others first."""
    start_worker()
    mapping = add_learners(20)
    later = {key.upper(): f"later-{key}" for key in reversed(mapping)}
    for username in later.values():
        make_user(username)
    held = row_lock("s-0")
    first = caller.link(mapping, learners_per_subtask=20)
    held.wait_for_blocked(1)

    second = caller.link(later)
    send_job(caller).assert_complete()
    wait_until(LinkingJob.objects.filter(pk=second).exists, "the second job is in the ledger")
    waits = LinkingJob.objects.get(pk=second)
    assert (waits.state, waits.waits_for) == ("received", [first])
    assert not ProgramEnrollment.objects.filter(user__username__startswith="later-").exists()
    held.release()

    assert result_of(first) == {}
    assert result_of(second) == {}
    assert LinkingJob.objects.get(pk=first).counts == {"linked": 20}
    assert LinkingJob.objects.get(pk=second).counts == {"relinked": 20}
    places = ProgramEnrollment.objects.filter(external_user_key__in=mapping)
    assert set(places.values_list("user__username", flat=True)) == set(later.values())


def test_a_job_that_waited_is_refused_if_it_would_now_relink_too_many_learners(
    start_worker: StartWorker, caller: Service, row_lock: TakeLock
) -> None:
    """At submission no learner is linked; after the first job, all are."""
    start_worker()
    mapping = add_learners(5)
    for key in mapping:
        make_user(f"later-{key}")
    held = row_lock("s-0")
    first = caller.link(mapping, learners_per_subtask=5)
    held.wait_for_blocked(1)
    second = caller.link({key: f"later-{key}" for key in mapping}, max_relinks="50%")
    wait_until(LinkingJob.objects.filter(pk=second, waits_for=[first]).exists, "the second job waits")
    held.release()

    assert result_of(first) == {}
    kind, text = failure_of(second)
    assert kind == "JobRefusedError"
    assert text.startswith("5 of 5 program enrollments would change hands, max_relinks=50% allows 2: nothing was")
    wait_until(lambda: len(caller.broker.calls(FAILURES)) == 1, "the errback is called")
    places = ProgramEnrollment.objects.filter(external_user_key__in=mapping)
    assert dict(places.values_list("external_user_key", "user__username")) == mapping


def test_many_jobs_over_the_same_learners_all_end_well(start_worker: StartWorker, caller: Service) -> None:
    """Each job links the same learners to other users, in another order."""
    start_worker()
    start_worker()
    mapping = add_learners(120)
    mappings = [mapping]
    for number in range(4):
        mappings.append({key: f"{number}-{key}" for key in sorted(mapping, key=lambda key: hash((number, key)))})
        for username in mappings[-1].values():
            make_user(username)

    jobs = [caller.link(other, learners_per_subtask=7) for other in mappings]

    assert [result_of(job) for job in jobs] == [{}] * len(mappings)
    in_order = LinkingJob.objects.order_by("started")
    assert [job.counts for job in in_order] == [{"linked": 120}, *[{"relinked": 120}] * 4]
    last = dict(zip(jobs, mappings, strict=True))[str(in_order.latest("finished").pk)]
    places = ProgramEnrollment.objects.filter(external_user_key__in=mapping)
    assert dict(places.values_list("external_user_key", "user__username")) == last
