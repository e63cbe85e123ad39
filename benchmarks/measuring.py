"""Contestants against each other: the same mapping on the same rows, in turns, and what they left compared."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks import fingerprints
from benchmarks.contestants import Contestant
from benchmarks.databases import Databases
from benchmarks.plan import Plan
from benchmarks.workloads import PROGRAM, Workload, read_mapping


class DifferenceError(Exception):
    """Two contestants left different rows: their speed counts for nothing."""


@dataclass(slots=True, kw_only=True)
class Figure:
    """What a contestant took for a workload, run by run.

    ``learners`` are those that it was measured on; ``size`` the mapping that the figure stands for.
    """

    workload: Workload
    size: int
    letter: str
    learners: int
    seconds: list[float] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """Learners per second, run by run, slowest first."""
        return sorted(self.learners / seconds for seconds in self.seconds)

    @property
    def rate(self) -> float:
        """The median of the rates."""
        return statistics.median(self.rates)

    @property
    def spread(self) -> float:
        """Half of what lies between the slowest and the quickest run, as a part of the median."""
        return (self.rates[-1] - self.rates[0]) / 2 / self.rate


class Rows:
    """What the contestants left, and whether it is the same."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, ...], tuple[str, str]] = {}
        self.compared: dict[str, int] = defaultdict(int)

    def compare(self, letter: str, where: tuple[str, ...], found: fingerprints.Fingerprints) -> None:
        """Compare with what the first contestant left at the same place.

        Raises:
            DifferenceError: it is not the same.
        """
        for table, checksum in found.items():
            first_letter, expected = self._first.setdefault((*where, table), (letter, checksum))
            if checksum != expected:
                msg = (
                    f"{', '.join(where)}: {table} differ: {first_letter} left {expected}, {letter} left {checksum}."
                    " Speed with a different result counts for nothing."
                )
                raise DifferenceError(msg)
            self.compared[letter] += 1


def measure(
    plan: Plan, databases: Databases, contestants: Sequence[Contestant], tell: Callable[[Figure], None]
) -> tuple[list[Figure], Mapping[str, int]]:
    """Measure in rounds, so that whatever else the machine does meets all alike, for as long as the plan allows.

    Args:
        plan: sizes, runs and time.
        databases: with templates of the plan's largest size.
        contestants: in the order of their turns.
        tell: called with each figure after each of its runs.

    Returns:
        The figures, and how many checksums were compared by contestant.

    Raises:
        DifferenceError: contestants left different rows.
    """
    started = time.monotonic()
    figures = {
        key: Figure(workload=key[0], size=key[1], letter=key[2], learners=learners)
        for key, learners in _cells(plan, contestants)
    }
    took: dict[tuple[Workload, int, str], float] = {}
    rows = Rows()
    by_letter = {contestant.letter: contestant for contestant in contestants}
    for _ in range(plan.rounds):
        for key, figure in figures.items():
            began = time.monotonic()
            if began - started + took.get(key, 0.0) > plan.seconds and figure.seconds:
                continue
            _run(figure, by_letter[figure.letter], plan, databases, rows)
            took[key] = time.monotonic() - began
            tell(figure)
    return list(figures.values()), rows.compared


def _cells(plan: Plan, contestants: Sequence[Contestant]) -> Iterator[tuple[tuple[Workload, int, str], int]]:
    for workload in Workload:
        for size in plan.sizes:
            for contestant in contestants:
                part = plan.parts.get(contestant.letter)
                # A contestant that is measured on a part is measured once for all sizes.
                if part is None or size == plan.largest:
                    yield (workload, size, contestant.letter), part or size


def _run(figure: Figure, contestant: Contestant, plan: Plan, databases: Databases, rows: Rows) -> None:
    databases.restore(figure.workload)
    with databases.connect() as connection:
        mapping = read_mapping(connection, figure.learners)
        contestant.warm_up(connection)
        began = time.perf_counter()
        job_id = contestant.run(connection, PROGRAM, mapping)
        figure.seconds.append(time.perf_counter() - began)

        where = (figure.workload.value, f"mapping of {figure.learners:,}")
        rows.compare(contestant.letter, where, fingerprints.tables(connection))
        for part in plan.parts.values():
            if part <= figure.learners:
                where = (figure.workload.value, f"first {part:,}")
                rows.compare(contestant.letter, where, fingerprints.tables(connection, part))
        if job_id is not None:
            rows.compare(
                contestant.letter,
                (figure.workload.value, f"ledger of {figure.learners:,}"),
                fingerprints.ledger(connection, job_id),
            )
