"""The nightly import with beats and workers: each file is imported once although processes are killed."""

from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from chaos.environment import Beat
from chaos.injection import Fault, executed_faults, inject_fault, pending_faults
from tests.acceptance.recovery.conftest import StartWorker
from tests.support.inbox_files import HEADER, files_in, imported, outcomes_in, rejected, write_file
from tests.support.populations import add_learners
from tests.support.service import Service, result_of
from tests.support.waiting import wait_until
from worker.models import InboxFile, LearnerOutcome, LinkingJob

IMPORT, ADVANCE = "linking.import_inbox", "linking.attend_inbox"
SETTLE_TIME = ("tests.support.settle_time",)


class Inbox:
    """A folder for dropped files, and the result that each must have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mappings: dict[str, dict[str, str]] = {}
        self._bad: set[str] = set()

    def drop(self, name: str, learners: int = 3) -> None:
        """Drop a file to import; it appears in one step."""
        mapping = self._mappings[name] = add_learners(learners)
        draft = self.folder / f"{name}.draft"
        write_file(draft, mapping).rename(self.folder / name)

    def drop_bad(self, name: str) -> None:
        """Drop a file to reject."""
        self._bad.add(name)
        (self.folder / name).write_text(f"{HEADER}no-program,{name},{name}\n")

    def assert_imported(self) -> None:
        """Wait until nothing is left to do, and assert that each file was imported, or rejected, once."""
        closed = InboxFile.objects.filter(state__in=["done", "rejected"])
        files = len(self._mappings) + len(self._bad)
        wait_until(lambda: closed.count() >= files, "every file is closed", timeout=120)
        assert files_in(self.folder) == imported(*self._mappings) | rejected(*self._bad)
        names = [*self._mappings, *self._bad]
        assert Counter(closed.values_list("name", flat=True)) == Counter(names)
        jobs = LinkingJob.objects.values_list("source", "state", "counts__linked")
        assert Counter(jobs) == Counter((name, "done", len(it)) for name, it in self._mappings.items())
        keys = Counter(LearnerOutcome.objects.values_list("external_user_key", "outcome"))
        assert keys == Counter((key, "linked") for mapping in self._mappings.values() for key in mapping)
        for name, mapping in self._mappings.items():
            assert outcomes_in(self.folder / "done" / f"{name}.report.csv") == [(key, "linked") for key in mapping]


@pytest.fixture
def inbox(tmp_path: Path, worker_env: dict[str, str]) -> Inbox:
    """An inbox that the beats of a test check every second."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    worker_env |= {"LINKING_INBOX": str(folder), "CHAOS_IMPORT_INTERVAL": "1"}
    return Inbox(folder)


def test_the_result_of_the_task_lists_files_and_jobs(inbox: Inbox, start_worker: StartWorker, caller: Service) -> None:
    inbox.drop("x.csv")
    inbox.drop_bad("bad.csv")
    start_worker(modules=SETTLE_TIME)

    result = result_of(caller.send(IMPORT))

    job = LinkingJob.objects.get()
    assert result == [
        {"file": "bad.csv", "jobs": [], "message": "1 fault, the first in line 2"},
        {"file": "x.csv", "jobs": [str(job.pk)]},
    ]
    caller.broker.wait_until_quiet()
    caller.send("linking.resume_stalled_jobs")  # As beat does.
    inbox.assert_imported()


def test_two_beats_and_two_workers_import_each_file_once(
    inbox: Inbox, start_worker: StartWorker, worker_env: dict[str, str]
) -> None:
    for n in range(10):
        inbox.drop(f"{n}.csv", learners=1 + n)
    inbox.drop_bad("bad.csv")
    start_worker(modules=SETTLE_TIME)
    start_worker(modules=SETTLE_TIME)

    with Beat(worker_env), Beat(worker_env):
        inbox.assert_imported()


def test_pool_children_may_be_killed_at_every_step(
    inbox: Inbox, start_worker: StartWorker, worker_env: dict[str, str], faults: Path
) -> None:
    """A fault that its task does not reach is lost: a run executes most faults, not all."""
    claiming = (
        "prepare_inbox",
        "_claim",
        "_claimed",
        "_check_and_submit",
        "_record_digest",
        "submit_jobs",
        "insert_learners",
        "queue_up",
    )
    rejecting = ("_write_errors", "_choose_name", "move")
    starting = ("dispatch", "note_dispatched")
    finishing = ("_lease", "_move_to_final", "_choose_name", "write_atomically", "write_import_report", "move")
    places = [(IMPORT, name) for name in claiming + rejecting + starting] + [(ADVANCE, name) for name in finishing]
    for task, function in places:
        inject_fault(faults, task, Fault(function=function))
    for n in range(8):
        inbox.drop(f"{n}.csv", learners=1)
        inbox.drop_bad(f"{n}-bad.csv")
    start_worker(modules=SETTLE_TIME)

    with Beat(worker_env):
        inbox.assert_imported()
    assert len(executed_faults(faults)) >= 8


@pytest.mark.parametrize(
    ("task", "function"),
    [
        pytest.param(IMPORT, "_check_and_submit", id="the file is claimed"),
        pytest.param(IMPORT, "dispatch", id="its jobs are written"),
        pytest.param(ADVANCE, "move", id="its report is written"),
    ],
)
def test_another_worker_continues_after_a_killed_one(
    inbox: Inbox,
    start_worker: StartWorker,
    worker_env: dict[str, str],
    faults: Path,
    *,
    task: str,
    function: str,
) -> None:
    worker = start_worker(modules=SETTLE_TIME)
    names = (f"{n}.csv" for n in count())

    def worker_is_killed() -> bool:
        if not pending_faults(faults):  # At first, and when a task ended before it reached the function.
            inbox.drop(next(names))
            inject_fault(faults, task, Fault(function=function, action="kill_worker"))
        return not worker.is_running

    with Beat(worker_env):
        wait_until(worker_is_killed, "the worker is killed")
        for fault in pending_faults(faults):
            fault.unlink()

        start_worker(modules=SETTLE_TIME)

        inbox.assert_imported()
    assert executed_faults(faults)


def test_a_missing_folder_is_logged_and_used_when_it_is_restored(
    inbox: Inbox, start_worker: StartWorker, worker_env: dict[str, str]
) -> None:
    away = inbox.folder.with_name("away")
    inbox.folder.rename(away)
    worker = start_worker(modules=SETTLE_TIME)
    with Beat(worker_env):
        wait_until(lambda: "cannot be used: No such file or directory" in worker.log.read_text(), "the fault is logged")

        away.rename(inbox.folder)
        inbox.drop("x.csv")

        inbox.assert_imported()
