"""The tables that Django's commands may create, alter or empty beside an LMS: ours."""

from typing import Any

OURS = frozenset({"worker", "api_tokens", "linking_outbox", "linking_results", "linking_sessions"})
"""Labels of the applications whose tables are ours."""


class LMSRouter:
    """Keeps ``migrate``, ``migrate --run-syncdb`` and ``flush`` away from the tables of the LMS."""

    def allow_migrate(self, _: str, app_label: str, **__: Any) -> bool | None:
        """Return False for applications of the LMS."""
        return None if app_label in OURS else False
