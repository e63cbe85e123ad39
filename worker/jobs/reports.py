"""Reports: the learners of jobs and their outcomes as CSV. Texts that a spreadsheet would run are marked."""

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TextIO
from uuid import UUID

from linking.bulk import explain
from worker.formulas import mark_formulas
from worker.jobs.selection import select, with_former_username
from worker.models import LearnerOutcome, LinkingJob

FIELDS = ("position", "external_user_key", "lms_username", "outcome", "message", "warnings", "taken_from")
COLUMNS = (*FIELDS, "explanation")
"""``taken_from``: see :func:`with_former_username`; ``explanation``: the message in words for people."""
ROWS_PER_LEASE = 20_000
"""Rows after which the writer of an import's report renews its lease."""


def write_report(job_id: UUID, file: TextIO) -> None:
    """Write one row per learner of a job, in mapping order (``position`` counts from 1), streamed."""
    csv.writer(file).writerows(_rows(job_id))


def report_lines(job_id: UUID, selection: str = "") -> Iterator[str]:
    """Yield the lines of a job's report, for a streamed response; of a selection of learners, or of an outcome."""
    return (csv.writer(_Line()).writerow(row) for row in _rows(job_id, selection))


def write_import_report(jobs: Sequence[LinkingJob], file: TextIO, renew: Callable[[], None] = lambda: None) -> None:
    """Write one row per learner of an imported file, program by program, streamed; and one for all that were skipped.

    Args:
        jobs: the jobs of the file.
        file: opened with ``newline=""``.
        renew: renews the caller's lease; called every ROWS_PER_LEASE rows.
    """
    writer = csv.writer(file)
    writer.writerow(("program_uuid", *COLUMNS))
    for job in jobs:
        for number, row in enumerate(islice(_rows(job.pk), 1, None)):
            if number % ROWS_PER_LEASE == 0:
                renew()
            refused = job.state == LinkingJob.State.REFUSED
            writer.writerow((job.program_uuid, *((*row[:3], job.state, job.message, "", "", "") if refused else row)))
        if skipped := job.options.get("skipped"):
            text = f"{skipped} rows of the file are as in the file before and were skipped"
            writer.writerow((job.program_uuid, "", "", "", "skipped", text, "", "", ""))


class _Line:
    """A file whose ``write`` returns the line, which ``csv.writer`` passes on."""

    def write(self, line: str) -> str:
        return line


def _rows(job_id: UUID, selection: str = "") -> Iterator[tuple[Any, ...]]:
    learners = select(LearnerOutcome.objects.filter(job_id=job_id).order_by("position"), selection)
    rows = with_former_username(learners).values_list(*FIELDS)
    yield COLUMNS
    for position, key, username, outcome, message, warnings, former in rows.iterator(chunk_size=2_000):
        texts = (key, username, outcome, message, "; ".join(warnings), former or "", explain(message, username))
        yield position + 1, *map(mark_formulas, texts)
