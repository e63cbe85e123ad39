"""What the benchmarks need of a database server: the same for each database."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from benchmarks.workloads import Workload

Fingerprints = Mapping[str, str]
"""Checksum by table."""


class Connection(Protocol):
    """A connection in autocommit mode."""

    def execute(self, statement: Any, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> Any:
        """Run a statement; return a cursor with its rows."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: Any) -> Any: ...


class Databases(Protocol):
    """The templates of a server, and the database that variants link in."""

    def make_templates(self, total: int, workloads: "tuple[Workload, ...]" = ...) -> None:
        """Create a template of ``total`` learners for each workload."""

    def restore(self, workload: "Workload") -> None:
        """Replace the rows of the database by those of the workload's template."""

    def drop_templates(self) -> None:
        """Drop the templates."""

    def connect(self) -> Any:
        """Open a connection to the database; a :class:`Connection`."""

    def version(self) -> str:
        """Return the server's name and version."""

    def checksums(self, connection: Any, part: int | None = None) -> Fingerprints:
        """Return the checksums of the tables of linking, of all rows or those of the first ``part`` learners."""

    def checksums_of_ledger(self, connection: Any, job_id: str) -> Fingerprints:
        """Return the checksums of a job's rows in the ledger."""
