"""The programs that there are: the LMS's tables name them by UUID only."""

from uuid import UUID

from linking.models import ProgramEnrollment
from linking.sql.statements import fetch

TABLE = ProgramEnrollment._meta.db_table  # noqa: SLF001 - the public way to a model's table


def program_uuids(limit: int) -> list[UUID]:
    """Return the programs that have enrollments, in the order of their UUIDs, ``limit`` at most.

    One statement, which looks up the next program in the index for each: DISTINCT would read all enrollments.
    """
    sql = f"""
        WITH RECURSIVE program(uuid, place) AS (
            SELECT (SELECT program_uuid FROM {TABLE} ORDER BY program_uuid LIMIT 1), 1
            UNION ALL
            SELECT (
                SELECT later.program_uuid FROM {TABLE} later
                WHERE later.program_uuid > program.uuid ORDER BY later.program_uuid LIMIT 1
            ), program.place + 1
            FROM program WHERE program.uuid IS NOT NULL AND program.place < %s
        )
        SELECT uuid FROM program WHERE uuid IS NOT NULL ORDER BY place
    """
    return [UUID(str(program)) for (program,) in fetch(sql, [limit])]
