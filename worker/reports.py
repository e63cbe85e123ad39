"""What a job came to, for people: its learners as CSV."""

import csv
from collections.abc import Iterator
from typing import Any, TextIO
from uuid import UUID

from worker.models import LearnerOutcome

COLUMNS = ("position", "external_user_key", "lms_username", "outcome", "message", "warnings")


def write_report(job_id: UUID, file: TextIO) -> None:
    """Write one row per learner of a job, in mapping order (``position`` counts from 1), streamed."""
    csv.writer(file).writerows(_rows(job_id))


def report_lines(job_id: UUID) -> Iterator[str]:
    """Return the lines of a job's report, for an answer that is sent while it is made."""
    return (csv.writer(_Line()).writerow(row) for row in _rows(job_id))


class _Line:
    """A file that keeps nothing: what is written comes back from the writer."""

    def write(self, line: str) -> str:
        return line


def _rows(job_id: UUID) -> Iterator[tuple[Any, ...]]:
    rows = LearnerOutcome.objects.filter(job_id=job_id).order_by("position").values_list(*COLUMNS)
    yield COLUMNS
    for position, key, username, outcome, message, warnings in rows.iterator(chunk_size=2_000):
        yield position + 1, key, username, outcome, message, "; ".join(warnings)
