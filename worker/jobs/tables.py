"""Names of the ledger's tables, for statements in SQL.

SQL is for statements over many rows, and for those of each small job: the ORM takes longer to write such a statement
than the database to run it.
"""

from worker.models import Claim, JobSlice, LearnerOutcome, LinkingJob

JOBS, SLICES, LEARNERS, CLAIMS = (
    model._meta.db_table  # noqa: SLF001 - the public way to a model's table
    for model in (LinkingJob, JobSlice, LearnerOutcome, Claim)
)
