"""The order in which jobs claimed their learners, kept after the claims were withdrawn."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import connection

from worker.jobs.tables import CLAIMS

_CREATE = (
    "CREATE TABLE claim_log (claim_id bigint, job_id uuid)",
    """
    CREATE FUNCTION log_claim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO claim_log VALUES (NEW.id, NEW.job_id); RETURN NULL;
    END $$
    """,
    f"CREATE TRIGGER log_claim AFTER INSERT ON {CLAIMS} FOR EACH ROW EXECUTE FUNCTION log_claim()",
)
_DROP = (f"DROP TRIGGER log_claim ON {CLAIMS}", "DROP FUNCTION log_claim", "DROP TABLE claim_log")


class ClaimOrder:
    """The jobs that claimed learners since the last :meth:`clear`."""

    def clear(self) -> None:
        """Forget all jobs."""
        _execute("DELETE FROM claim_log")

    def jobs(self) -> list[UUID]:
        """Return the jobs in the order of their first claims: of jobs over the same learners, that of submission.

        A job takes the ids of its claims under the advisory lock of its program, which it holds to its commit.
        """
        with connection.cursor() as cursor:
            cursor.execute("SELECT job_id FROM claim_log GROUP BY job_id ORDER BY MIN(claim_id)")
            return [job_id for (job_id,) in cursor.fetchall()]


@contextmanager
def logged_claims() -> Iterator[ClaimOrder]:
    """Log the claims of all jobs in the context, by a trigger of PostgreSQL."""
    _execute(*_CREATE)
    try:
        yield ClaimOrder()
    finally:
        _execute(*_DROP)


def _execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
