"""Measure the variants in turns, on the same mapping and rows, and compare the rows that they left."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from benchmarks.interface import Databases, Fingerprints
from benchmarks.plan import Plan
from benchmarks.variants import Variant
from benchmarks.workloads import PROGRAM, Workload, read_mapping

Cell = tuple[Workload, int, str]
"""Workload, learners of the mapping, and letter of the variant."""
SMALL = 1_000
"""Learners up to which a mapping is small."""
RUNS_OF_SMALL = 5
"""Runs of a small mapping in each round."""


class DifferenceError(Exception):
    """Two variants left different rows."""


@dataclass(slots=True, kw_only=True)
class Figure:
    """The times of a variant on a workload.

    Attributes:
        size: learners of the mapping that the figure stands for.
        learners: learners of the mapping that was measured.
        seconds: one time per run.
    """

    workload: Workload
    size: int
    letter: str
    learners: int
    seconds: list[float] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """Learners per second of each run, slowest first."""
        return sorted(self.learners / seconds for seconds in self.seconds)

    @property
    def rate(self) -> float:
        """The median of the rates."""
        return statistics.median(self.rates)

    @property
    def spread(self) -> float:
        """Half of the difference between the fastest and the slowest run, as a fraction of the median."""
        return (self.rates[-1] - self.rates[0]) / 2 / self.rate


class Rows:
    """The checksums of the rows that the variants left."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, ...], tuple[str, str]] = {}
        self.compared: dict[str, int] = defaultdict(int)

    def compare(self, letter: str, where: tuple[str, ...], found: Fingerprints) -> None:
        """Compare with the rows that the first variant left there.

        Raises:
            DifferenceError: the rows differ.
        """
        for table, checksum in found.items():
            first_letter, expected = self._first.setdefault((*where, table), (letter, checksum))
            if checksum != expected:
                msg = f"{', '.join(where)}: {table} differ: {first_letter} left {expected}, {letter} left {checksum}"
                raise DifferenceError(msg)
            self.compared[letter] += 1


def measure(
    plan: Plan, databases: Databases, variants: Sequence[Variant], report: Callable[[Figure], None]
) -> tuple[list[Figure], Mapping[str, int]]:
    """Measure in rounds, so that other load on the machine affects all variants alike, until the plan's time is up.

    Args:
        plan: sizes, runs and time.
        databases: has templates of the plan's largest size.
        variants: in the order of their turns.
        report: called with a figure after each of its runs.

    Returns:
        The figures, and the number of compared checksums by variant.

    Raises:
        DifferenceError: variants left different rows.
    """
    started = time.monotonic()
    figures = {
        key: Figure(workload=key[0], size=key[1], letter=key[2], learners=learners)
        for key, learners in _cells(plan, variants)
    }
    took: dict[Cell, float] = {}
    rows = Rows()
    by_letter = {variant.letter: variant for variant in variants}
    for _ in range(plan.rounds):
        for key, figure in _turns(figures):
            began = time.monotonic()
            if began - started + took.get(key, 0.0) > plan.seconds and figure.seconds:
                continue
            _run(figure, by_letter[figure.letter], plan, databases, rows)
            took[key] = time.monotonic() - began
            report(figure)
    return list(figures.values()), rows.compared


def _turns(figures: Mapping[Cell, Figure]) -> Iterator[tuple[Cell, Figure]]:
    """Yield the figures in the order of a round's runs: those of a small mapping, which vary most, several times."""
    for (_, learners), group in groupby(figures.items(), key=lambda item: item[0][:2]):
        turn = list(group)
        for _ in range(RUNS_OF_SMALL if learners <= SMALL else 1):
            yield from turn


def _cells(plan: Plan, variants: Sequence[Variant]) -> Iterator[tuple[Cell, int]]:
    for workload in Workload:
        for size in plan.sizes:
            for variant in variants:
                part = plan.parts.get(variant.letter)
                # A variant that is measured on a part is measured once, for all sizes.
                if part is None or size == plan.largest:
                    yield (workload, size, variant.letter), part or size


def _run(figure: Figure, variant: Variant, plan: Plan, databases: Databases, rows: Rows) -> None:
    databases.restore(figure.workload)
    with databases.connect() as connection:
        mapping = read_mapping(connection, figure.learners)
        variant.warm_up(connection)
        began = time.perf_counter()
        job_id = variant.run(connection, PROGRAM, mapping)
        figure.seconds.append(time.perf_counter() - began)

        where = (figure.workload.value, f"mapping of {figure.learners:,}")
        rows.compare(variant.letter, where, databases.checksums(connection))
        for part in plan.parts.values():
            if part <= figure.learners:
                where = (figure.workload.value, f"first {part:,}")
                rows.compare(variant.letter, where, databases.checksums(connection, part))
        if job_id is not None:
            rows.compare(
                variant.letter,
                (figure.workload.value, f"ledger of {figure.learners:,}"),
                databases.checksums_of_ledger(connection, job_id),
            )
