"""The rows of the last file of each program, as digests: read, recorded, and settled by the outcomes of their jobs.

A file is compared with the file before it, not with the tables of the LMS: a learner that a person relinked by hand is
left alone until a file says something new about it.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import transaction

from linking.bulk import Learner, Outcome, advisory_lock, bulk_insert, execute, fetch, is_one_of, stored
from worker.jobs.row_digests import SUMS, Row, digests_of, is_in
from worker.models import ImportedRow, LearnerOutcome, LinkingJob, ProgramFile, UnsettledImport

TABLE = ImportedRow._meta.db_table  # noqa: SLF001 - the public way to a model's table
PAGE = 20_000
"""Rows that one statement reads."""
BATCH = 1_000
"""Rows that one statement removes."""
APPLIED = (Outcome.LINKED, Outcome.RELINKED, Outcome.ALREADY_LINKED)
"""Outcomes of learners for whom there is nothing left to do."""


def lock_rows(program_uuid: UUID) -> None:
    """Let one import at a time compare and record the rows of a program, until the transaction ends."""
    advisory_lock(f"imported rows of {program_uuid}")


def read_sums(program_uuid: UUID) -> dict[int, int]:
    """Return the sum of each bucket of a program's rows (:mod:`worker.jobs.row_digests`)."""
    sums = fetch(f"{SUMS} FROM {TABLE} WHERE program_uuid = %s GROUP BY 1", [program_uuid])
    return {int(bucket): int(total) for bucket, total in sums}


def read_rows(program_uuid: UUID, buckets: Collection[int]) -> Iterator[Sequence[Row]]:
    """Yield the rows of some buckets of a program in pages, in flat memory on each database."""
    sql = f"SELECT key_digest, row_digest FROM {TABLE} WHERE program_uuid = %s AND {is_in(buckets)}"
    end = f"ORDER BY key_digest LIMIT {PAGE}"
    page = fetch(f"{sql} {end}", [program_uuid])
    while page:
        yield [(_uuid(key).bytes, row) for key, row in page]
        page = fetch(f"{sql} AND key_digest > %s {end}", [program_uuid, _uuid(page[-1][0])]) if page[PAGE - 1 :] else []


def _uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


def record_rows(file: ProgramFile, job_id: UUID, *, gone: Iterable[bytes], new: Iterable[Learner]) -> None:
    """Record the rows of a file whose job was submitted in this transaction.

    Args:
        file: the file and its program.
        job_id: the job.
        gone: digests of the keys whose rows are not in the file, or are other rows there.
        new: learners of the rows that are not recorded.
    """
    program = file.program_uuid
    keys_gone = iter(gone)
    while keys := list(islice(keys_gone, BATCH)):
        condition, parameters = is_one_of("key_digest", [stored(UUID(bytes=key)) for key in keys], "uuid")
        execute(f"DELETE FROM {TABLE} WHERE program_uuid = %s AND {condition}", [program, *parameters])
    digests = (digests_of(program, learner.external_user_key, learner.lms_username) for learner in new)
    rows = ((str(stored(UUID(bytes=key))), row) for key, row in digests)
    bulk_insert(TABLE, {"program_uuid": program}, ("key_digest", "row_digest"), rows)
    file.save()
    UnsettledImport.objects.create(job_id=job_id, program_uuid=program)


def forget_rows(keys: Collection[str]) -> None:
    """Remove the rows of keys, without regard to case, from the last files of all programs."""
    for program in ProgramFile.objects.values_list("pk", flat=True):
        digests = [UUID(bytes=digests_of(program, key, "")[0]) for key in keys]
        ImportedRow.objects.filter(program_uuid=program, key_digest__in=digests).delete()


def note_undo(undoing: LinkingJob, source: LinkingJob) -> None:
    """Note that the rows of a job's file are to follow its undoing."""
    if "skipped" in source.options and not undoing.dry_run:
        UnsettledImport.objects.create(job_id=undoing.pk, program_uuid=undoing.program_uuid)


def settle_program(program_uuid: UUID) -> None:
    """Let the rows of a program follow the outcomes of its jobs that have ended."""
    for unsettled in UnsettledImport.objects.filter(program_uuid=program_uuid):
        if not LinkingJob.objects.unnotified().filter(pk=unsettled.job_id).exists():
            settle(unsettled)


def settle_job(job_id: UUID) -> None:
    """Let the rows follow the outcomes of a job that has ended, if they do not yet."""
    for unsettled in UnsettledImport.objects.filter(pk=job_id):
        settle(unsettled)


def settle(unsettled: UnsettledImport) -> None:
    """Remove the rows of those learners of an ended job that failed or were undone; after a kill it begins anew."""
    program = unsettled.program_uuid
    with transaction.atomic():
        lock_rows(program)
        for learners in _unapplied(unsettled.job_id):
            rows = [digests_of(program, key, username) for key, username in learners]
            keys, keys_given = is_one_of("key_digest", [stored(UUID(bytes=key)) for key, _ in rows], "uuid")
            values, values_given = is_one_of("row_digest", [row for _, row in rows])
            sql = f"DELETE FROM {TABLE} WHERE program_uuid = %s AND {keys} AND {values}"
            execute(sql, [program, *keys_given, *values_given])
        unsettled.delete()


def _unapplied(job_id: UUID) -> Iterator[Sequence[tuple[str, str]]]:
    """Yield keys and usernames of the learners of an ended job that failed or were undone, in pages."""
    learners = LearnerOutcome.objects.filter(job_id=job_id).order_by("position")
    if LinkingJob.objects.filter(pk=job_id, undoes=None).exists():
        learners = learners.exclude(outcome__in=APPLIED)
    else:
        learners = learners.filter(outcome=Outcome.UNDONE)
    last = -1
    while page := list(
        learners.filter(position__gt=last).values_list("position", "external_user_key", "lms_username")[:BATCH]
    ):
        yield [(key, username) for _, key, username in page]
        last = page[-1][0]
