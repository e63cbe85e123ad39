"""Learners on their way into the ledger, and between its slices: set-based, in bounded memory."""

from collections.abc import Iterable, Mapping
from itertools import islice
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from linking.bulk import Learner, Outcome, execute, rowset, stored_uuid
from worker.models import LearnerOutcome, LinkingJob

CHUNK = 1_000
"""Learners that are written together."""


def insert_learners(job_id: UUID, learners: Iterable[Learner], slice_size: int) -> None:
    """Write the learners of a new job, open, cut into slices by position; streamed, in bounded memory.

    A query of learners in the ledger does not even pass through here.
    """
    if isinstance(learners, QuerySet):
        _copy_learners(job_id, learners, slice_size)
        return
    rows = (
        (learner.position, learner.external_user_key, learner.lms_username, learner.position // slice_size)
        for learner in learners
    )
    columns = "job_id, outcome, message, warnings, attempts, position, external_user_key, lms_username, slice"
    constants = (stored_uuid(connection, job_id), Outcome.PENDING.value, "", "[]", 0)
    table = LearnerOutcome._meta.db_table  # noqa: SLF001 - the public way to a model's table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            before = "\t".join(map(str, constants))
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                # Lines written here: the driver takes ten times as long, value by value.
                while batch := list(islice(rows, CHUNK)):
                    copy.write(
                        "".join(
                            f"{before}\t{position}\t{_as_copied(key)}\t{_as_copied(username)}\t{slice}\n"
                            for position, key, username, slice in batch
                        )
                    )
        else:
            marks = ", ".join(["%s"] * (len(constants) + 4))
            while whole := [constants + row for row in islice(rows, CHUNK)]:
                cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", whole)


COPY_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def _as_copied(text: str) -> str:
    """Return a text as COPY's text format has it."""
    return text.translate(COPY_ESCAPES) if "\\" in text or not text.isprintable() else text


def _copy_learners(job_id: UUID, learners: "QuerySet[LearnerOutcome]", slice_size: int) -> None:
    """Write learners of another job as those of a new one, numbered anew, within the database."""
    names = ("position", "external_user_key", "lms_username")
    source, parameters = learners.order_by().values(*names).query.sql_with_params()
    table = LearnerOutcome._meta.db_table  # noqa: SLF001
    sql = f"""
        INSERT INTO {table}
            (job_id, outcome, message, warnings, attempts, position, external_user_key, lms_username, slice)
        SELECT %s, %s, '', '[]', 0, place, external_user_key, lms_username, place / %s FROM (
            SELECT ROW_NUMBER() OVER (ORDER BY position) - 1 AS place, external_user_key, lms_username
            FROM ({source}) learner
        ) numbered ORDER BY place
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [stored_uuid(connection, job_id), Outcome.PENDING.value, slice_size, *parameters])


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
    table = LearnerOutcome._meta.db_table  # noqa: SLF001
    copied = ("position", "external_user_key", "lms_username", "slice", "before")
    learners_sql, parameters = _undoable_learners(source).values_list(*copied).query.sql_with_params()
    names = ", ".join(copied)
    sql = f"""
        INSERT INTO {table} (job_id, outcome, message, warnings, attempts, {names})
        SELECT %s, %s, %s, %s, %s, {names} FROM ({learners_sql}) linked
    """
    constants = (stored_uuid(connection, job.pk), Outcome.PENDING.value, "", "[]", 0)
    with connection.cursor() as cursor:
        cursor.execute(sql, [*constants, *parameters])
        return int(cursor.rowcount)


def move_learners(job_id: UUID, slices: Mapping[int, int]) -> None:
    """Put learners, by position, into other slices."""
    if not slices:
        return
    # The job's id comes with each row: with one for all, SQLite would go through all learners of the job for each row.
    rows = [(stored_uuid(connection, job_id), *row) for row in slices.items()]
    rows_sql, parameters = rowset(connection, "new", {"job_id": "uuid", "position": "bigint", "slice": "bigint"}, rows)
    table = LearnerOutcome._meta.db_table  # noqa: SLF001
    sql = f"""
        UPDATE {table} AS learner SET slice = new.slice FROM {rows_sql}
        WHERE learner.job_id = new.job_id AND learner.position = new.position
    """
    execute(connection, sql, parameters)
