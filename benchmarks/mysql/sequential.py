"""Variant A with history: as an LMS does it, a save per row through the ORM with the real django-simple-history."""

import os
from collections.abc import Mapping
from typing import Self
from uuid import UUID

from benchmarks.interface import Connection
from benchmarks.variants import Variant
from tests.support.lms.process import LmsProcess


class LMS(Variant):
    """A process that links as an LMS does (:mod:`tests.support.living_lms`)."""

    letter, name = "A", "an LMS, sequential"

    def __init__(self) -> None:
        self._process = LmsProcess(os.environ["DATABASE_URL"])

    def __enter__(self) -> Self:
        self._process.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.__exit__(None, None, None)

    def run(self, connection: Connection, program: UUID, mapping: Mapping[str, str]) -> None:
        """Link through the connection of the process."""
        self._process.call("link", str(program), dict(mapping))
