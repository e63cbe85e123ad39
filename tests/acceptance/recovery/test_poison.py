"""A learner that kills its worker, or always raises, is isolated; all others are linked."""

import pytest

from linking.models import ProgramEnrollment
from tests.acceptance.recovery.conftest import StartWorker
from tests.support.poison import KILLS, RAISES
from tests.support.populations import add_learners
from tests.support.rows import enroll, make_user
from tests.support.service import Service, result_of
from tests.support.waiting import wait_until
from worker.jobs.slices import ATTEMPTS, LOST_MESSAGE
from worker.models import LearnerOutcome, LinkingJob

POISON = "tests.support.poison"


def mapping_with(poison: str) -> dict[str, str]:
    """Write 40 learners, one of them poison, and return their mapping."""
    make_user("poison")
    enroll(poison)
    healthy = list(add_learners(39).items())
    return dict([*healthy[:20], (poison, "poison"), *healthy[20:]])


@pytest.mark.parametrize("learners_per_subtask", [1, 40], ids=["a slice of its own", "in a large slice"])
@pytest.mark.parametrize(
    ("poison", "message"), [(KILLS, LOST_MESSAGE), (RAISES, "RuntimeError: the learner is poison")]
)
def test_poison_is_isolated_and_all_others_are_linked(
    start_worker: StartWorker, caller: Service, poison: str, message: str, learners_per_subtask: int
) -> None:
    mapping = mapping_with(poison)
    start_worker(modules=(POISON,))

    task_id = caller.link(mapping, learners_per_subtask=learners_per_subtask)

    # Celery checks for dead children every five seconds, and six die in this test.
    wait_until(LinkingJob.objects.exclude(notified=None).exists, "the job ends", timeout=90)
    assert result_of(task_id) == {poison: message}
    isolated = LearnerOutcome.objects.get(external_user_key=poison)
    assert isolated.outcome == "error"
    others = LearnerOutcome.objects.exclude(external_user_key=poison)
    assert set(others.values_list("outcome", flat=True)) == {"linked"}
    unlinked = ProgramEnrollment.objects.filter(user=None)
    assert list(unlinked.values_list("external_user_key", flat=True)) == [poison]


def test_the_number_of_attempts_is_the_one_of_the_contract() -> None:
    assert ATTEMPTS == 3
