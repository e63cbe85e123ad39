"""Jobs and the LMS's plug-in against the LMS's own way: what is announced of each learner inside the LMS.

A random world is linked twice: by the engine, whose events the plug-in's task receives as JSON, and one by one by an
LMS that is written from the facts about it (:mod:`tests.support.recording_lms`). Receivers record all events, signals,
deletions from the cache, tracking records, mails and tasks with their arguments. Per user, the multiset is the same:

- Events that the plug-in receives twice, in the same batch or another one, are announced once.
- Deletions from the cache may be more, of the same keys: one too many does no harm, one too few does.
- What the LMS announced of a learner whose transaction was rolled back is not compared: nothing happened.
- Ids of new rows and times of their creation differ from run to run; receivers check them against the row.

``LINKING_EVENT_WORLDS=300`` runs that many worlds, new ones each time; without it a fixed set of 6 runs.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import override_settings
from hypothesis import event, given
from hypothesis import strategies as st

from linking.events import Event
from linking.outcomes import Outcome
from tests.support.jobs import run, submit, undo
from tests.support.lms.history import history, role_history, rows_with_history
from tests.support.lms.process import LmsProcess
from tests.support.worlds import World, build, clear, interferences, snapshot, worlds
from tests.support.worlds.examples import long_timeout, random_worlds
from tests.support.worlds.values import CURRICULA, Account, Course, CourseRun, Enrolled, Enrollment, Expiry, Held
from worker.models import LearnerOutcome, LinkingJob

VARIABLE = "LINKING_EVENT_WORLDS"
pytestmark = [
    pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms"),
    pytest.mark.django_db(transaction=True),
    long_timeout(6, VARIABLE),
]
CACHE = "cache delete"
Records = Counter[tuple[int | None, str, str]]
"""User, kind and details of calls, and how many there were."""


@pytest.fixture(scope="module")
def lms(database_url: str) -> Iterator[LmsProcess]:
    with LmsProcess(database_url, "tests.support.recording_lms") as process:
        yield process


def begin(lms: LmsProcess, world: World) -> None:
    """Write the rows of a world, and no others."""
    LinkingJob.objects.exclude(undoes=None).delete()
    LinkingJob.objects.all().delete()
    Event.objects.all().delete()
    clear()
    build(world)
    for user in User.objects.all():  # The same in each run.
        User.objects.filter(pk=user.pk).update(email=f"{user.pk}@example.org")
    lms.call("begin")


def records(lms: LmsProcess) -> Records:
    """Return what was recorded."""
    return Counter((user, what, json.dumps(details, sort_keys=True)) for user, what, details in lms.call("records"))


def events() -> list[dict[str, Any]]:
    """Return the events of the outbox as JSON, and remove them."""
    found = [one.as_json() for one in Event.objects.order_by("pk")]
    Event.objects.all().delete()
    return found


def deliver(lms: LmsProcess, found: Sequence[dict[str, Any]], size: int, again: str) -> None:
    """Call the plug-in's task with batches of events, after which all rows must be what they were."""
    if not found:
        return
    before = snapshot(), [history(table) for table in rows_with_history()], role_history()
    for start in range(0, len(found), size):
        batch = str(uuid4()), found[start : start + size]
        lms.call("receive", *batch)
        if again == "each batch":
            lms.call("receive", *batch)
        elif again == "in the next batch":
            lms.call("receive", str(uuid4()), found[: start + size])
    assert (snapshot(), [history(table) for table in rows_with_history()], role_history()) == before


def assert_same(ours: Records, theirs: Records) -> None:
    """Compare what was recorded; of deletions from the cache there may be more."""
    missing, more = theirs - ours, ours - theirs
    assert not missing
    assert {key for key in more if key[1] != CACHE or key not in theirs} == set()


@random_worlds(6, VARIABLE)
@given(
    world=worlds(),
    learners_per_subtask=st.sampled_from([None, 1, 3]),
    size=st.sampled_from([100, 1, 3]),
    again=st.sampled_from(["never", "each batch", "in the next batch"]),
)
def test_a_job_and_its_undo_announce_what_the_lms_announces(
    lms: LmsProcess, world: World, learners_per_subtask: int | None, size: int, again: str
) -> None:
    for kind in interferences(world):
        event(kind)
    for what in compare(lms, world, learners_per_subtask, size, again):
        event(what)


def test_every_kind_of_change_is_announced_as_the_lms_does(lms: LmsProcess) -> None:
    assert compare(lms, every_kind()) >= {"cache delete", "forum role", "proctoring mail", "task", "tracking"}


def every_kind() -> World:
    """Return a world with a learner for each change of a course enrollment, in a course run with audit and one without.

    A course enrollment that is (active, mode) before the learner is linked is of the user; of a former user if the
    program enrollment is linked already.
    """
    courses = (
        Course("course-v1:Org+Algebra+1", modes=(("audit", Expiry.NEVER), ("masters", Expiry.NEVER))),
        Course("Old/Biology/2", modes=(("verified", Expiry.NEVER), ("masters", Expiry.NEVER))),
    )
    kinds: list[tuple[bool, tuple[bool, str] | None, str, tuple[str, ...]]] = [
        (is_linked, state, status, roles)
        for is_linked in (False, True)
        for state in (
            None,
            (False, "audit"),
            (False, "masters"),
            (True, "audit"),
            (True, "masters"),
            (True, "verified"),
        )
        for status, roles in (("active", ("staff", "wizard")), ("inactive", ()))
    ]
    accounts, enrollments, enrolled, runs, held, mapping = [], [], [], [], [], []
    for n, (is_linked, state, status, roles) in enumerate(kinds):
        accounts += [Account(f"user-{n}"), Account(f"former-{n}")]
        owner = 2 * n + is_linked
        enrollments.append(Enrollment(owner if is_linked else None, f"s-{n}", CURRICULA[0]))
        mapping.append((f"s-{n}", f"user-{n}"))
        for course in range(len(courses)):
            if state is not None:
                enrolled.append(Enrolled(owner, course, mode=state[1], is_active=state[0]))
            realized = len(enrolled) - 1 if is_linked and state is not None else None
            runs.append(CourseRun(n, course, realized, status, roles))
        if n % 4 == 0:
            held.append(Held(2 * n, 0))
    return World(
        accounts=tuple(accounts),
        courses=courses,
        enrollments=tuple(enrollments),
        enrolled=tuple(enrolled),
        course_runs=tuple(runs),
        held=tuple(held),
        mapping=tuple(mapping),
    )


def compare(
    lms: LmsProcess, world: World, learners_per_subtask: int | None = None, size: int = 100, again: str = "never"
) -> set[str]:
    """Link and undo a world in both ways, and compare what they announce; return the kinds of what it is."""
    mapping, program = dict(world.mapping), world.program_uuid
    begin(lms, world)
    with override_settings(LINKING_EVENTS=True):
        job = submit(mapping, program, learners_per_subtask=learners_per_subtask)
        errors = run(job)
        deliver(lms, events(), size, again)
        ours, undone = records(lms), list[str]()
        job.refresh_from_db()
        if job.counts.keys() & {"linked", "relinked"}:
            undoing = undo(job)
            deliver(lms, events(), size, again)
            rows = LearnerOutcome.objects.filter(job=undoing, outcome=Outcome.UNDONE)
            undone = list(rows.order_by("-position").values_list("external_user_key", flat=True))
    ours_undone = records(lms)

    begin(lms, world)
    assert lms.call("link", str(program), mapping).keys() == errors.keys()
    theirs = records(lms)
    assert_same(ours, theirs)
    lms.call("undo", undone)
    assert_same(ours_undone - ours, records(lms) - theirs)
    return {what for _, what, _ in ours_undone}
