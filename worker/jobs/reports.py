"""What a job came to, for people: its learners as CSV."""

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TextIO
from uuid import UUID

from worker.models import LearnerOutcome, LinkingJob

COLUMNS = ("position", "external_user_key", "lms_username", "outcome", "message", "warnings")
ALIVE_EVERY = 20_000
"""Rows."""


def write_report(job_id: UUID, file: TextIO) -> None:
    """Write one row per learner of a job, in mapping order (``position`` counts from 1), streamed."""
    csv.writer(file).writerows(_rows(job_id))


def report_lines(job_id: UUID) -> Iterator[str]:
    """Return the lines of a job's report, for an answer that is sent while it is made."""
    return (csv.writer(_Line()).writerow(row) for row in _rows(job_id))


def write_import_report(jobs: Sequence[LinkingJob], file: TextIO, alive: Callable[[], None] = lambda: None) -> None:
    """Write one row per learner of an imported file, program by program, streamed.

    Args:
        jobs: those of the file.
        file: opened with ``newline=""``.
        alive: called now and then.
    """
    writer = csv.writer(file)
    writer.writerow(("program_uuid", *COLUMNS))
    for job in jobs:
        for number, row in enumerate(islice(_rows(job.pk), 1, None)):
            if number % ALIVE_EVERY == 0:
                alive()
            refused = job.state == LinkingJob.State.REFUSED
            told = (*row[:3], job.state, job.message, "") if refused else row
            writer.writerow((job.program_uuid, *told))


class _Line:
    """A file that keeps nothing: what is written comes back from the writer."""

    def write(self, line: str) -> str:
        return line


def _rows(job_id: UUID) -> Iterator[tuple[Any, ...]]:
    rows = LearnerOutcome.objects.filter(job_id=job_id).order_by("position").values_list(*COLUMNS)
    yield COLUMNS
    for position, key, username, outcome, message, warnings in rows.iterator(chunk_size=2_000):
        yield position + 1, key, username, outcome, message, "; ".join(warnings)
