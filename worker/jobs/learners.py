"""Learners on their way into the ledger, and between its slices: set-based, in bounded memory."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from linking.bulk import Learner, Outcome, bulk_insert, stored_uuid, update_rows
from worker.models import LearnerOutcome, LinkingJob

TABLE = LearnerOutcome._meta.db_table  # noqa: SLF001 - the public way to a model's table


def insert_learners(job_id: UUID, learners: Iterable[Learner], slice_size: int) -> None:
    """Write the learners of a new job, open, cut into slices by position; streamed, in bounded memory.

    Learners given as a query of the ledger are copied inside the database.
    """
    if isinstance(learners, QuerySet):
        _copy_learners(job_id, learners, slice_size)
        return
    constants = {"job_id": job_id, "outcome": Outcome.PENDING.value, "message": "", "warnings": "[]", "attempts": 0}
    rows = (
        (learner.position, learner.external_user_key, learner.lms_username, learner.position // slice_size)
        for learner in learners
    )
    bulk_insert(TABLE, constants, ("position", "external_user_key", "lms_username", "slice"), rows)


def _copy_learners(job_id: UUID, learners: "QuerySet[LearnerOutcome]", slice_size: int) -> None:
    """Write learners of another job as those of a new one, numbered anew, within the database."""
    names = ("position", "external_user_key", "lms_username")
    source, parameters = learners.order_by().values(*names).query.sql_with_params()
    sql = f"""
        INSERT INTO {TABLE}
            (job_id, outcome, message, warnings, attempts, position, external_user_key, lms_username, slice)
        SELECT %s, %s, '', '[]', 0, place, external_user_key, lms_username, place / %s FROM (
            SELECT ROW_NUMBER() OVER (ORDER BY position) - 1 AS place, external_user_key, lms_username
            FROM ({source}) learner
        ) numbered ORDER BY place
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [stored_uuid(job_id), Outcome.PENDING.value, slice_size, *parameters])


def _undoable_learners(source: LinkingJob) -> "QuerySet[LearnerOutcome]":
    """Return the learners that a job linked, but for those that were undone already."""
    learners = LearnerOutcome.objects.filter(job=source, outcome__in=[Outcome.LINKED, Outcome.RELINKED])
    for undoing in source.undoings.without_dry_runs():
        again = LearnerOutcome.objects.filter(job=undoing, position=OuterRef("position"), outcome=Outcome.UNDONE)
        learners = learners.exclude(Exists(again))
    return learners


def copy_undoable_learners(job: LinkingJob, source: LinkingJob) -> int:
    """Write the learners that can be undone as open learners of ``job``.

    They keep their positions and slices: those who interfere are together, as they were when they were linked.

    Returns:
        How many they are.
    """
    copied = ("position", "external_user_key", "lms_username", "slice", "before")
    learners_sql, parameters = _undoable_learners(source).values_list(*copied).query.sql_with_params()
    names = ", ".join(copied)
    sql = f"""
        INSERT INTO {TABLE} (job_id, outcome, message, warnings, attempts, {names})
        SELECT %s, %s, %s, %s, %s, {names} FROM ({learners_sql}) linked
    """
    constants = (stored_uuid(job.pk), Outcome.PENDING.value, "", "[]", 0)
    with connection.cursor() as cursor:
        cursor.execute(sql, [*constants, *parameters])
        return int(cursor.rowcount)


def move_learners(job_id: UUID, slices: Mapping[int, int]) -> None:
    """Put learners, by position, into other slices."""
    # The job's id comes with each row: with one for all, SQLite would go through all learners of the job for each row.
    rows = [(stored_uuid(job_id), *row) for row in slices.items()]
    columns = {"job_id": "uuid", "position": "bigint", "slice": "bigint"}
    update_rows(TABLE, columns, rows, key=("job_id", "position"))
