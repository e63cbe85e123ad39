"""What a job came to, for people: its learners as CSV."""

import csv
from typing import TextIO
from uuid import UUID

from worker.models import LearnerOutcome

COLUMNS = ("position", "external_user_key", "lms_username", "outcome", "message", "warnings")


def write_report(job_id: UUID, file: TextIO) -> None:
    """Write one row per learner of a job, in mapping order (``position`` counts from 1), streamed."""
    rows = LearnerOutcome.objects.filter(job_id=job_id).order_by("position").values_list(*COLUMNS)
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for position, key, username, outcome, message, warnings in rows.iterator(chunk_size=2_000):
        writer.writerow((position + 1, key, username, outcome, message, "; ".join(warnings)))
