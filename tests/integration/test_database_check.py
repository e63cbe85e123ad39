"""The database folds the case of letters as :func:`linking.keys.fold_key` does; ``manage.py check`` warns if not."""

import sys
import unicodedata

import pytest
from django.core.checks import Tags, run_checks
from django.db import connection

from linking.keys import fold_key
from linking.sql import dialect, folded
from linking.sql.statements import fetch

pytestmark = pytest.mark.django_db


def test_every_letter_folds_in_the_database_as_in_python() -> None:
    """Letters of Unicode 3.2, which every database knows."""
    category = unicodedata.ucd_3_2_0.category
    letters = [letter for letter in map(chr, range(sys.maxunicode + 1)) if category(letter).startswith("L")]
    rows, parameters = dialect().rowset("letter", {"given": "text"}, [(letter,) for letter in letters])

    sql = f"SELECT given, {folded('given')} FROM {rows}"  # noqa: S608 - our own names
    folds = dict(fetch(sql, parameters))

    if connection.vendor == "mysql":  # It compares bytes.
        folds = {letter: fold.decode() for letter, fold in folds.items()}
    assert folds == {letter: fold_key(letter) for letter in letters}


def test_the_check_passes() -> None:
    assert run_checks(tags=[Tags.database], databases=["default"]) == []


def test_a_collation_that_folds_ascii_only_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect(), "fold", lambda _: "'?'")

    assert [warning.id for warning in run_checks(tags=[Tags.database], databases=["default"])] == ["linking.W001"]
