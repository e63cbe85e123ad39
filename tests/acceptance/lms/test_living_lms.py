"""Jobs of real workers beside an LMS that reads, enrolls and unenrolls through its ORM at the same time.

``LINKING_LIVING_WORLDS=10`` repeats the jobs so many times; without it they run once.
"""

import json
import random
from collections import defaultdict

import pytest
from celery.states import SUCCESS

from linking.bulk import Outcome
from linking.engine.change import RecordedChange
from linking.engine.lms_tables import COURSE_ENROLLMENT, PROGRAM_COURSE_ENROLLMENT, PROGRAM_ENROLLMENT
from tests.support.ids import PROGRAM
from tests.support.lms.history import assert_history_is_complete, history, rows_with_history
from tests.support.lms.process import LmsProcess
from tests.support.populations import add_learners_of_every_kind
from tests.support.service import LINK, Service, ended
from tests.support.worlds.examples import number_of
from worker.models import LearnerOutcome, LinkingJob

ROUNDS = number_of(1, "LINKING_LIVING_WORLDS")
pytestmark = [
    pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms"),
    pytest.mark.timeout(120 + 60 * ROUNDS),
]
LEARNERS, THREADS = 140, 3
REQUESTS = {"read", "enroll", "unenroll", "change mode", "save program course enrollment"}


def run(service: Service, task: str, *args: object, **options: object) -> LinkingJob:
    """Run a job by message to its end, and return it."""
    task_id = service.send(task, *args, kwargs=options)
    assert ended(task_id).status == SUCCESS
    return LinkingJob.objects.get(pk=task_id)


def reasons() -> dict[str, set[tuple[str, int]]]:
    """Return table and id of the rows that changed, by the reason in their history."""
    found: dict[str, set[tuple[str, int]]] = {}
    for table in rows_with_history():
        for row in history(table):
            found.setdefault(row["history_change_reason"] or "the LMS", set()).add((table, row["id"]))
    return found


def changes_of(job: LinkingJob) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """Return table and id of the rows that a job touched, and of those that it left changed.

    A course enrollment that one learner gives up and another takes, in one slice, is as it was.
    """
    done = LearnerOutcome.objects.filter(job=job, outcome__in=[Outcome.LINKED, Outcome.RELINKED, Outcome.UNDONE])
    changed, states = set(), defaultdict[int, list[object]](list)
    for before in done.order_by("position").values_list("before", flat=True):
        change = RecordedChange.from_json(before or {})
        changed.add((PROGRAM_ENROLLMENT, change.enrollment_id))
        changed |= {(PROGRAM_COURSE_ENROLLMENT, row.id) for row in change.courses if row.before != row.after}
        for row_id, was, now in change.course_enrollments:
            # An undo leaves what its job created as by an unlinking; all course runs offer audit.
            states[row_id] += [(False, "audit") if was is None and job.undoes_id else was, now]
    touched = {(COURSE_ENROLLMENT, row_id) for row_id in states}
    kept = {(COURSE_ENROLLMENT, row_id) for row_id, (first, *_, last) in states.items() if first == last}
    return changed | touched, changed | touched - kept


def test_history_is_complete_while_the_lms_lives(service: Service, database_url: str) -> None:
    mapping = add_learners_of_every_kind(LEARNERS)
    before, jobs = rows_with_history(), []
    with LmsProcess(database_url) as lms:
        lms.call("live", THREADS, 1)
        for turn in range(ROUNDS):
            names = list(mapping.values())
            random.Random(turn).shuffle(names)  # noqa: S311 - the same each time
            shuffled = dict(zip(mapping, names, strict=True))
            linking = run(service, LINK, str(PROGRAM), mapping, learners_per_subtask=20)
            relinking = run(service, LINK, str(PROGRAM), shuffled, learners_per_subtask=20)
            undoing = run(service, "linking.undo_job", str(relinking.pk))
            jobs += [linking, relinking, undoing]
        requests = lms.call("stop")

    assert requests.keys() >= REQUESTS, json.dumps(requests)
    assert_history_is_complete(before)
    found = reasons()
    assert found.pop("the LMS")
    assert found.keys() == {f"program-linking job {job.pk}" for job in jobs}
    for job in jobs:
        touched, changed = changes_of(job)
        assert changed <= found[f"program-linking job {job.pk}"] <= touched
        job.refresh_from_db()
        assert not job.counts.keys() & {"error", "pending"}, job.counts
