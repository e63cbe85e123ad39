"""The worker against the sequential reference: random worlds by message through real worker processes.

``LINKING_WORKER_WORLDS=100`` runs that many worlds, new ones each time; without it a fixed set of 15 runs.
"""

from hypothesis import event, given
from hypothesis import strategies as st

from tests.support import jobs, reference
from tests.support.service import LINK, Service, result_of
from tests.support.worlds import World, build, clear, interferences, snapshot, worlds
from tests.support.worlds.examples import long_timeout, random_worlds
from worker.models import LinkingJob

pytestmark = long_timeout(15, "LINKING_WORKER_WORLDS")


@random_worlds(15, "LINKING_WORKER_WORLDS")
@given(world=worlds(), learners_per_subtask=st.sampled_from([None, 1, 2, 3, 8]))
def test_a_job_by_message_leaves_the_rows_and_messages_of_one_learner_after_the_other(
    service: Service, world: World, learners_per_subtask: int | None
) -> None:
    mapping = dict(world.mapping)
    clear()
    build(world)
    expected = reference.link_program_enrollments(world.program_uuid, mapping)
    rows = snapshot()
    for kind in {*interferences(world), *map(str, expected.outcomes.values())}:
        event(kind)
    clear()
    build(world)
    LinkingJob.objects.all().delete()

    task_id = service.send(
        LINK, str(world.program_uuid), mapping, kwargs={"learners_per_subtask": learners_per_subtask}
    )

    errors = result_of(task_id)
    assert errors == expected.errors
    assert list(errors) == list(expected.errors)
    assert snapshot() == rows
    job = LinkingJob.objects.get(pk=task_id)
    assert jobs.outcomes(job) == expected.outcomes
    assert job.state == "done"
    service.broker.wait_until_quiet()
