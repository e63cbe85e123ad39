"""Plain rows reach a statement as they are, whatever characters they hold."""

from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from linking.sql import dialect

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(
    ["", "NULL", "null", '"', "\\", '\\"', "{", "}", "},{", ",", "'", "%s", "$1", " ", "\n", "é", "\\x41"]
)


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), TEXT, st.none() | st.integers(0, 9), st.booleans())))
def test_rows_come_back_as_they_went(rows: list[tuple[int, str, int | None, bool]]) -> None:
    columns = {"id": "bigint", "name": "text", "other": "bigint", "flag": "boolean"}
    rows_sql, parameters = dialect().rowset("given", columns, rows)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id, name, other, flag FROM {rows_sql}", parameters)  # noqa: S608 - our own names
        found = cursor.fetchall()

    assert [(*row[:3], bool(row[3])) for row in found] == rows
