"""Undo through real workers: by message and by command, beside a changed learner, and killed at many places."""

import json
from pathlib import Path
from uuid import uuid4

from chaos.environment import Beat
from chaos.injection import Fault, executed_faults, inject_fault
from linking.models import ProgramEnrollment
from tests.acceptance.recovery.conftest import StartWorker
from tests.support.populations import add_learners, add_learners_of_every_kind
from tests.support.programs import Command
from tests.support.sent_jobs import wait_until_finished
from tests.support.service import FAILURES, Service, failure_of, result_of
from tests.support.tables import every_row
from tests.support.waiting import wait_until
from worker.models import LearnerOutcome, LinkingJob

UNDO, SLICE, FINISH = "linking.undo_job", "linking.link_learners", "linking.finish_job"


def test_an_undo_that_is_killed_at_many_places_restores_every_row_once(
    start_worker: StartWorker, caller: Service, faults: Path, beat: Beat
) -> None:
    mapping = add_learners_of_every_kind(70)
    before = every_row(but="modified")
    start_worker()
    start_worker()
    job_id = caller.link(mapping, learners_per_subtask=9)
    wait_until_finished(job_id)
    caller.broker.wait_until_quiet()
    changed = ProgramEnrollment.objects.get(external_user_key="s-0")
    linked_to = changed.user_id
    ProgramEnrollment.objects.filter(pk=changed.pk).update(external_user_key="s-0 moved")
    kills = (
        (UNDO, Fault(function="copy_undoable_learners")),  # The job is not in the ledger.
        (UNDO, Fault(function="note_dispatched")),  # All messages are sent.
        (SLICE, Fault(function="_count_attempt")),
        (SLICE, Fault(function="_write_outcomes")),  # Rows are restored and not committed.
        (SLICE, Fault(function="is_over")),  # They are committed.
        (SLICE, Fault(function="_write_outcomes", action="kill_worker")),
        (FINISH, Fault(function="send_callbacks")),
    )
    for task, fault in kills:
        inject_fault(faults, task, fault)

    undo_id = caller.send(UNDO, job_id, link=caller.callback(), link_error=caller.callback(FAILURES))
    undoing = wait_until_finished(undo_id)

    assert beat.is_running
    assert sorted(task for _, task in executed_faults(faults)) == sorted(task for task, _ in kills)
    assert undoing.counts == {"undone": 29, "changed_since": 1}
    errors = {"s-0": "not undone, changed since: the program enrollment has another external user key"}
    assert result_of(undo_id) == errors
    wait_until(lambda: errors in caller.answers(), "the callback is called")
    assert caller.answers().count(errors) == 1
    assert caller.broker.calls(FAILURES) == []
    assert set(LearnerOutcome.objects.filter(job=undoing).values_list("attempts", flat=True)) == {1}

    changed.refresh_from_db()
    assert changed.user_id == linked_to
    ProgramEnrollment.objects.filter(pk=changed.pk).update(external_user_key="s-0")
    again = caller.send(UNDO, job_id)
    assert wait_until_finished(again).counts == {"undone": 1}
    assert every_row(but="modified") == before


def test_the_command_previews_an_undo_runs_it_and_lists_the_learners_that_it_did_not_undo(
    start_worker: StartWorker, caller: Service, manage: Command
) -> None:
    start_worker()
    job_id = caller.link(add_learners(5))
    wait_until_finished(job_id)
    ProgramEnrollment.objects.filter(external_user_key="s-3").update(user=None)
    rows = every_row()

    rehearsed = manage("undo", job_id, "--dry-run", "--json")
    assert rehearsed.returncode == 3, rehearsed.stderr
    shown = json.loads(rehearsed.stdout)
    assert (shown["counts"], shown["undoes"], shown["state"]) == ({"undone": 4, "changed_since": 1}, job_id, "done")
    assert every_row() == rows

    done = manage("undo", job_id)
    assert done.returncode == 3, done.stderr
    assert f"(undoes job {job_id})" in done.stdout
    assert "s-3: not undone, changed since: the program enrollment is linked to no account" in done.stdout
    assert not ProgramEnrollment.objects.exclude(user=None).exists()

    second = manage("undo", job_id, "--no-wait", "--json")
    assert second.returncode == 0, second.stderr
    assert wait_until_finished(json.loads(second.stdout)["id"]).counts == {"changed_since": 1}

    missing = manage("undo", str(uuid4()))
    assert missing.returncode == 1
    assert "there is no job" in missing.stderr


def test_an_undo_that_is_not_possible_fails_at_once_with_the_reason(start_worker: StartWorker, caller: Service) -> None:
    start_worker(concurrency=1)
    dry_id = caller.link(add_learners(1), dry_run=True)
    wait_until_finished(dry_id)

    failures = [failure_of(caller.send(UNDO, *arguments)) for arguments in ((dry_id,), ("all",), (dry_id, "yes"))]

    assert failures == [
        ("JobError", f"job {dry_id} was a dry run: it changed nothing."),
        ("ValueError", "job_id='all' is not a UUID: expected the id of a job, which is the task id of its caller."),
        ("ValueError", "dry_run='yes': expected true or false."),
    ]
    assert LinkingJob.objects.count() == 1
