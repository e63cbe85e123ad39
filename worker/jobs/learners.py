"""Write learners into the ledger and move them between slices: set-based, in bounded memory."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from linking.bulk import Learner, Outcome, bulk_insert, quote, stored, update_rows, warn_of_same_keys
from worker.jobs.tables import LEARNERS
from worker.models import LearnerOutcome, LinkingJob

COLUMNS = ("position", "external_user_key", "lms_username", "slice")


def _initial_values(job_id: UUID) -> dict[str, Any]:
    """Return the columns that have one value for all new learners of a job."""
    return {"job_id": job_id, "outcome": Outcome.PENDING.value, "message": "", "warnings": "[]", "attempts": 0}


def insert_learners(job_id: UUID, learners: Iterable[Learner], slice_size: int) -> None:
    """Write the learners of a new job, cut into slices by position.

    Learners given as a query of the ledger are copied inside the database.
    """
    if isinstance(learners, QuerySet):
        _copy_learners(job_id, learners, slice_size)
        return
    rows = (
        (learner.position, learner.external_user_key, learner.lms_username, learner.position // slice_size)
        for learner in learners
    )
    bulk_insert(LEARNERS, _initial_values(job_id), COLUMNS, rows)


def _copy_learners(job_id: UUID, learners: "QuerySet[LearnerOutcome]", slice_size: int) -> None:
    """Copy learners of another job to new positions from 0."""
    select, parameters = learners.order_by().values(*COLUMNS[:3]).query.sql_with_params()
    numbered = f"""
        SELECT place AS position, external_user_key, lms_username, (place - place %% %s) / %s AS slice FROM (
            SELECT ROW_NUMBER() OVER (ORDER BY position) - 1 AS place, external_user_key, lms_username
            FROM ({select}) learner
        ) numbered ORDER BY place
    """
    _insert_selected(job_id, COLUMNS, numbered, [slice_size, slice_size, *parameters])


def copy_undoable_learners(job: LinkingJob, source: LinkingJob) -> int:
    """Copy the learners that ``source`` linked and that are not undone yet; return their number.

    They keep their positions and slices: learners that interfere stay together, as when they were linked.
    """
    learners = LearnerOutcome.objects.filter(job=source, outcome__in=[Outcome.LINKED, Outcome.RELINKED])
    for undoing in source.undoings.without_dry_runs():
        undone = LearnerOutcome.objects.filter(job=undoing, position=OuterRef("position"), outcome=Outcome.UNDONE)
        learners = learners.exclude(Exists(undone))
    columns = (*COLUMNS, "before")
    return _insert_selected(job.pk, columns, *learners.values_list(*columns).query.sql_with_params())


def _insert_selected(job_id: UUID, columns: Sequence[str], select: str, parameters: Sequence[Any]) -> int:
    """Insert the rows of a SELECT as learners of a new job; return their number."""
    initial = _initial_values(job_id) | {"job_id": stored(job_id)}
    marks, names = ", ".join(["%s"] * len(initial)), ", ".join(map(quote, columns))
    sql = f"INSERT INTO {LEARNERS} ({', '.join(initial)}, {names}) SELECT {marks}, {names} FROM ({select}) selected"
    with connection.cursor() as cursor:
        cursor.execute(sql, [*initial.values(), *parameters])
        return int(cursor.rowcount)


def move_learners(job_id: UUID, slices: Mapping[int, int]) -> None:
    """Move learners, by position, to other slices."""
    # The job's id comes with each row: with one for all, SQLite would read all learners of the job for each row.
    rows = [(stored(job_id), *row) for row in slices.items()]
    columns = {"job_id": "uuid", "position": "bigint", "slice": "bigint"}
    update_rows(LEARNERS, columns, rows, key=("job_id", "position"))


def write_key_warnings(job_id: UUID, same_key: Collection[int]) -> None:
    """Write a warning for the learners at some positions, which share keys that differ only in case."""
    if not same_key:
        return
    found = LearnerOutcome.objects.filter(job_id=job_id, position__in=same_key).order_by("position")
    learners = warn_of_same_keys(
        Learner(position=position, external_user_key=key, lms_username=username)
        for position, key, username in found.values_list("position", "external_user_key", "lms_username")
    )
    rows = [(stored(job_id), learner.position, json.dumps(learner.warnings)) for learner in learners]
    columns = {"job_id": "uuid", "position": "bigint", "warnings": "jsonb"}
    update_rows(LEARNERS, columns, rows, key=("job_id", "position"))
