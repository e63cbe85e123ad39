"""MySQL 8.4 or later, and MariaDB 10.11 or later.

Columns may have any collation that ignores case: a condition first looks up the rows that the collation takes for
equal, which is what its index can do, and then compares their bytes. Where the two servers differ, each runs its own
comment: MySQL those that begin with ``/*!80000``, MariaDB those that begin with ``/*M!``.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from linking.sql.interface import BATCH, SERVER, Assignments, BulkRows, Columns, Dialect, Rows, Statement
from linking.sql.mysql_literals import Literals
from linking.sql.mysql_spellings import spellings_of

LOCK_TIMEOUT = 1205
"""A statement waited too long for a lock. It alone is undone: the transaction and its locks stay until a rollback."""
CONTENTION = frozenset({LOCK_TIMEOUT, 1213, 1467, 1020, 3572, 1412, 3101})
"""Lock timeout; deadlock, which undoes the whole transaction; row changed since it was read; row is locked.

1467 is a deadlock or a lock timeout as well: MariaDB waited for the next automatic key, while another one inserts many.
1412: a table changed since the transaction began. 3101: rolled back in COMMIT, by another member of a group.
"""
DUPLICATE = 1062
"""A unique constraint refused a row."""
OUTAGE = frozenset(
    {
        *(1040, 1041, 1129, 1203, 1226),  # Too many connections, out of memory, client refused after lost connections.
        *(1021, 1114, 1037, 1038),  # Disk or table full, out of memory.
        *(
            1053,
            1077,
            1079,
            1317,
            1927,
            3032,
            3168,
            3169,
            4031,
        ),  # Server stopping or offline; statement, session or connection killed, or idle.
        *(1047, 1180, 1290, 1792, 1836, 3100),  # Not (yet) a server that may be written to; COMMIT failed.
        *range(1152, 1162),  # Network.
    }
)
"""Errors of the server that are no fault of the statement. Those of the client library begin with 2000."""
CLIENT = range(2000, 3000)
"""Errors of the client library: could not connect, server has gone away (2006), connection lost (2013), …

A COMMIT may have taken place all the same: a repetition finds it in the ledger.
"""
LIMIT = frozenset({1021, 1114, 1037, 1038, 1041, 1206, 1969, 3024, 1153})
"""Full disk or table, out of memory, too many locks, statement timeout (MariaDB's, MySQL's), statement too large."""
DENIED = frozenset({1142, 1143})
"""The user lacks a privilege on a table, on a column."""
EXACT = "/*!80000 COLLATE utf8mb4_0900_as_cs *//*M!101000 COLLATE utf8mb4_uca1400_as_cs */"
"""A collation that knows the case of every letter. (That of ``utf8mb4_unicode_ci`` dates from 2003.)"""
GEORGIAN_CAPITALS, GEORGIAN_LETTERS = "X'E1B2'", "X'E183'"
"""First two bytes of Georgian capitals, which came with Unicode 11 and which MySQL does not fold, and of their letters.

Old Cyrillic letters (U+1C80 to U+1C88) begin with these bytes, too. They become bytes that no folded key has.
"""
BINARY = "/*!80000 utf8mb4_0900_bin *//*M!101000 utf8mb4_nopad_bin */"
"""A collation in which a text equals itself only."""
MAX_TEXT = 2**20
"""Characters of a bulk insert: with four bytes each it stays below ``max_allowed_packet`` (MariaDB: 16 MiB)."""
LOCKS = "linking_advisory_lock"
"""The table of advisory locks: each key that was ever locked has a row.

GET_LOCK would belong to the session: it outlives a rollback, and a connection that is used again still holds it.
"""
TYPES = {
    "bigint": "BIGINT",
    "boolean": "TINYINT",
    "jsonb": "LONGTEXT",
    "text": "LONGTEXT",
    "timestamptz": "DATETIME(6)",
    "uuid": "CHAR(36)",
}
"""Types of columns, by PostgreSQL's."""


class MySQL(Dialect):
    """MySQL's JSON tables and multi-table UPDATE; its errors by number."""

    epoch = "UNIX_TIMESTAMP(SYSDATE(6))"
    # The statistics take all NULLs for one value: while most program enrollments of an LMS are waiting, each user would
    # seem to have thousands, and the whole index would be read. Without a limit the index is asked about each value.
    select_each = (
        "/*M!100300 SET STATEMENT eq_range_index_dive_limit = 0 FOR */"
        " SELECT /*+ SET_VAR(eq_range_index_dive_limit = 0) */"
    )
    indexes_folded_keys = False  # The unique constraint's index has the keys.
    lookup_join = "STRAIGHT_JOIN"
    schema_name = "DATABASE()"
    filled_column = "c.column_default IS NOT NULL OR c.extra <> ''"  # Automatic or generated.
    table_engine = "t.engine"
    database_collation = "@@collation_database"
    probe_options: ClassVar[Mapping[str, Any]] = {"connect_timeout": 2, "read_timeout": 2}

    def settings(
        self, options: Mapping[str, Any], *, lock_timeout: int, idle_timeout: int, is_lms: bool
    ) -> dict[str, Any]:
        # Seconds. Rows and, below, tables that are locked for minutes must not hold every worker, and a worker that
        # froze in the middle of a transaction must not hold its locks for ever: MySQL ends every idle session.
        server = (
            "SET SESSION sql_mode = 'TRADITIONAL'"  # A value that does not fit is an error.
            f", innodb_lock_wait_timeout = {lock_timeout}, lock_wait_timeout = {lock_timeout}"
            f" /*!80000 , wait_timeout = {idle_timeout} */ /*M!100300 , idle_transaction_timeout = {idle_timeout} */"
        )
        given = str(options.get("init_command", "")).strip("; ")
        # What decisions depend on is read after the locks: each statement must see what was committed before it began,
        # where REPEATABLE READ would show what was committed before the locks. It locks no gaps, either.
        session = {"init_command": f"{given}; {server}" if given else server, "isolation_level": "read committed"}
        engine = {"ENGINE": "linking.sql.char_uuids"} if is_lms else {}
        return {**SERVER, **engine, "OPTIONS": {**options, **session}}

    def schema(self, exact: Sequence[tuple[str, str, str, str]]) -> list[str]:
        locks = f"CREATE TABLE IF NOT EXISTS {LOCKS} (id BIGINT PRIMARY KEY) ENGINE=InnoDB"
        columns = [
            f"ALTER TABLE {table} MODIFY {column} {kind} COLLATE {BINARY} {null}" for table, column, kind, null in exact
        ]
        return [locks, *columns]

    def prepare(self, connection: BaseDatabaseWrapper) -> None:
        # Else the texts that we send have the server's collation, and do not compare with columns of another one.
        with connection.cursor() as cursor:
            cursor.execute("SET collation_connection = @@collation_database")

    def is_contention(self, error: BaseException) -> bool:
        return _code(error) in CONTENTION

    def is_lock_timeout(self, error: BaseException) -> bool:
        return _code(error) == LOCK_TIMEOUT

    def is_outage(self, error: BaseException) -> bool:
        code = _code(error)
        return code in OUTAGE or code in CLIENT

    def is_limit(self, error: BaseException) -> bool:
        return _code(error) in LIMIT

    def is_denied(self, error: BaseException) -> bool:
        return _code(error) in DENIED

    def error_code(self, error: BaseException) -> str:
        return str(_code(error) or "")

    def advisory_lock(self, cursor: Any, key: int) -> None:
        cursor.execute(f"INSERT INTO {LOCKS} (id) VALUES (%s) ON DUPLICATE KEY UPDATE id = id", [key])

    def fold(self, expression: str) -> str:
        folded = f"CAST(LOWER(CONVERT({expression} USING utf8mb4) {EXACT}) AS BINARY)"
        return f"REPLACE({folded}, {GEORGIAN_CAPITALS}, {GEORGIAN_LETTERS})"

    def spellings(self, key: str) -> set[str]:
        return spellings_of(key)

    def hash(self, expression: str) -> str:
        return f"CAST(CONV(LEFT(SHA2(CONCAT(%s, {expression}), 256), 16), 16, -10) AS SIGNED)"

    def same_key(self, column: str, other: str) -> str:
        return f"{column} = {other} AND {super().same_key(column, other)}"

    def same_text(self, column: str, other: str) -> str:
        return f"{column} = {other} AND CAST({column} AS BINARY) = CAST({other} AS BINARY)"

    def filtered(self, column: str) -> str:
        # An LMS has an index on programs, which the optimizer may take for a lookup: it has all rows of a program.
        return f"CONCAT({column})"

    def is_in(self, column: str, subquery: str) -> str:
        # Read once, as a table: a UNION would be run for each row of ours.
        return f"{column} IN (SELECT * FROM ({subquery}) AS looked_up)"

    def is_one_of(self, column: str, kind: str, values: Collection[Any]) -> Statement:
        # A list is looked up in the index, in its column's collation, whatever the optimizer knows of the table.
        return f"{column} IN ({', '.join(['%s'] * len(values))})" if values else "false", list(values)

    def key_is_one_of(self, column: str, keys: Collection[str]) -> Statement:
        return self.is_one_of(column, "text", {spelling for key in keys for spelling in self.spellings(key)})

    def rowset(self, alias: str, columns: Columns, rows: Rows) -> Statement:
        picks = ", ".join(
            f"{self.quote(name)} {TYPES[kind]} PATH '$[{place}]'" for place, (name, kind) in enumerate(columns.items())
        )
        flags = [place for place, kind in enumerate(columns.values()) if kind == "boolean"]
        if flags:  # MariaDB would read true as a text.
            rows = [[int(value) if at in flags else value for at, value in enumerate(row)] for row in rows]
        return f"JSON_TABLE(%s, '$[*]' COLUMNS ({picks})) AS {alias}", [json.dumps(rows, default=str)]

    def select_locked(self, table: str, columns: str, condition: str, lock: str) -> str:
        # Rows are locked as they are read, and sorted later: first find their ids. Not ORDER BY id: to save the sort,
        # the optimizer would walk an index that has the order, such as the one on programs, through a whole program.
        return f"""
            SELECT {columns} FROM (
                SELECT id AS locked_id FROM {table} WHERE {condition} ORDER BY id + 0 LIMIT {2**63 - 1}
            ) AS found STRAIGHT_JOIN {table} ON id = locked_id {lock}
        """

    def quote(self, name: str) -> str:
        return f"`{name}`"

    def insert(
        self,
        cursor: Any,
        table: str,
        columns: Columns,
        rows: Rows,
        *,
        constants: Mapping[str, Any],
        key: Sequence[str],
    ) -> list[Any]:
        sql = self._insert_values(table, columns, rows, constants)
        if key:
            sql += f" /*M!100500 RETURNING {', '.join(['id', *key])} */"
        try:
            cursor.execute(sql)
        except IntegrityError as error:
            if not key or _code(error) != DUPLICATE:
                raise
            return []
        if not key:
            return []
        if cursor.description is not None:
            return list(cursor.fetchall())
        # MySQL has no RETURNING. Rows that are written out get consecutive ids, of which this is the first; between
        # them are those of other members of a cluster, where ids advance by more than one.
        last = f"%s + {len(rows) - 1} * @@auto_increment_increment"
        sql = f"SELECT {', '.join(['id', *key])} FROM {table} WHERE id BETWEEN %s AND {last}"
        cursor.execute(sql, [cursor.lastrowid, cursor.lastrowid])
        places = [list(columns).index(name) for name in key]
        wanted = {tuple(row[place] for place in places) for row in rows}
        return [(row_id, *found) for row_id, *found in cursor.fetchall() if tuple(found) in wanted]

    def insert_missing(self, cursor: Any, table: str, columns: Columns, rows: Rows) -> None:
        # Not IGNORE, which ignores more than rows that exist.
        cursor.execute(f"{self._insert_values(table, columns, rows, {})} ON DUPLICATE KEY UPDATE id = id")

    def _insert_values(self, table: str, columns: Iterable[str], rows: Rows, constants: Mapping[str, Any]) -> str:
        # Not INSERT … SELECT: as long as that waits for a lock, MariaDB lets no one else insert into the table.
        names = ", ".join(map(self.quote, [*columns, *constants]))
        literal = Literals()
        end = "".join(f",{literal[value]}" for value in constants.values())
        values = ",".join([f"({','.join([literal[value] for value in row])}{end})" for row in rows])
        return f"INSERT INTO {table} ({names}) VALUES {values}"

    def bulk_insert(
        self, cursor: Any, table: str, constants: Mapping[str, Any], columns: Sequence[str], rows: BulkRows
    ) -> None:
        for batch in _batches(rows):
            cursor.execute(self._insert_values(table, columns, batch, constants))

    def update(self, table: str, assignments: Assignments, rows: Statement, condition: str) -> Statement:
        changes = ", ".join(f"old.{self.quote(name)} = {sql}" for name, (sql, _) in assignments.items())
        values = [value for _, parameters in assignments.values() for value in parameters]
        # From the rowset to the table, along its index: rows that are read on the way are locked, too.
        return f"UPDATE {rows[0]} STRAIGHT_JOIN {table} AS old ON {condition} SET {changes}", [*rows[1], *values]

    def update_unlocked(
        self, cursor: Any, table: str, assignments: Assignments, condition: Statement, returning: str
    ) -> list[Any]:
        new, parameters = assignments[returning]
        with transaction.atomic():
            # The rows are locked: the update computes the value that this statement reads.
            sql = f"SELECT id, {new} FROM {table} WHERE {condition[0]} {self.skip_locked}"
            cursor.execute(sql, [*parameters, *condition[1]])
            found = dict(cursor.fetchall())
            if found:
                where, ids = self.is_one_of("id", "bigint", found)
                changes, values = self.assigned(assignments)
                cursor.execute(f"UPDATE {table} SET {changes} WHERE {where}", [*values, *ids])
            return list(found.values())


def _batches(rows: BulkRows) -> Iterator[Rows]:
    """Cut rows into batches of BATCH rows and MAX_TEXT characters."""
    batch: list[tuple[str | int, ...]] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(value) for value in row if isinstance(value, str))
        if len(batch) == BATCH or size >= MAX_TEXT:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _code(error: BaseException) -> int:
    """Return the number of an error, 0 where there is none. Django raises some errors anew, without their cause."""
    arguments = (error.__cause__ or error).args
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0
