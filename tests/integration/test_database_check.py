"""``manage.py check --database default``: whether the database folds letters outside ASCII."""

import pytest
from django.core.checks import Tags, run_checks

from linking.sql import dialect

pytestmark = pytest.mark.django_db


def test_the_check_passes() -> None:
    assert run_checks(tags=[Tags.database], databases=["default"]) == []


def test_a_collation_that_folds_ascii_only_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect(), "fold_function", "TRIM", raising=False)

    assert [warning.id for warning in run_checks(tags=[Tags.database], databases=["default"])] == ["linking.W001"]
