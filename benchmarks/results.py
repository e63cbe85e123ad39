"""All results of a benchmark: the source of the tables, the chart and the JSON file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.callers import Burst
from benchmarks.distance import Distant
from benchmarks.latency import Latency
from benchmarks.measuring import Figure
from benchmarks.memory import Streamed
from benchmarks.plan import Plan
from benchmarks.variants import Variant
from benchmarks.workloads import Workload

RATIOS = (("D", "A"), ("D", "B"), ("D", "E"), ("C", "E"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All results of a benchmark.

    Attributes:
        machine: the machine and the versions.
        compared: number of equal checksums, by variant.
        latencies: latencies of jobs of one learner.
        bursts: jobs of one learner that were sent at once.
        distant: jobs of a worker that is far from its database.
        streamed: streamed jobs, smallest first.
        seconds: duration of the benchmark.
    """

    plan: Plan
    machine: Mapping[str, str | int | float]
    variants: Sequence[Variant]
    figures: Sequence[Figure]
    compared: Mapping[str, int]
    latencies: Sequence[Latency]
    bursts: Sequence[Burst]
    distant: Sequence[Distant]
    streamed: Sequence[Streamed]
    seconds: float

    @property
    def ratios(self) -> list[tuple[str, str]]:
        """The ratios of the variants that were measured."""
        letters = {variant.letter for variant in self.variants}
        return [ratio for ratio in RATIOS if letters.issuperset(ratio)]

    def figure(self, workload: Workload, size: int, letter: str) -> Figure | None:
        """Return the figure of a variant; a variant that is measured on a part has one figure for all sizes."""
        figures = [figure for figure in self.figures if (figure.workload, figure.letter) == (workload, letter)]
        return next((figure for figure in figures if figure.size == size or letter in self.plan.parts), None)

    def ratio(self, workload: Workload, size: int, one: str, other: str) -> float | None:
        """Return the speed of variant ``one`` divided by that of ``other``."""
        first, second = self.figure(workload, size, one), self.figure(workload, size, other)
        return first.rate / second.rate if first and second else None

    def as_json(self) -> dict[str, Any]:
        """Return the results with every run of every figure."""
        return {
            "call": self.plan.name,
            "machine": dict(self.machine),
            "seconds": round(self.seconds, 1),
            "variants": {variant.letter: variant.name for variant in self.variants},
            "figures": [
                {
                    **asdict(figure),
                    "seconds": [round(seconds, 4) for seconds in figure.seconds],
                    "learners_per_second": {
                        "median": round(figure.rate, 1),
                        "slowest": round(figure.rates[0], 1),
                        "fastest": round(figure.rates[-1], 1),
                    },
                }
                for figure in self.figures
            ],
            "ratios": [
                {"workload": workload, "size": size, "ratio": f"{one}/{other}", "value": round(ratio, 2)}
                for workload in Workload
                for size in self.plan.sizes
                for one, other in self.ratios
                if (ratio := self.ratio(workload, size, one, other)) is not None
            ],
            "checksums_compared": dict(self.compared),
            "latency_of_one_learner_ms": [
                {
                    "where": latency.where,
                    "jobs": len(latency.seconds),
                    "p50": round(latency.p50 * 1000, 1),
                    "p99": round(latency.p99 * 1000, 1),
                    "longest": round(max(latency.seconds) * 1000, 1),
                }
                for latency in self.latencies
            ],
            "callers": [
                {**asdict(burst), "milliseconds": round(burst.milliseconds, 2), "jobs_per_second": round(burst.rate, 1)}
                for burst in self.bursts
            ],
            "distant": [{**asdict(job), "learners_per_second": round(job.rate, 1)} for job in self.distant],
            "streamed": [
                {
                    "learners": job.learners,
                    "seconds": round(job.seconds, 2),
                    "microseconds_per_learner": round(job.seconds / job.learners * 1e6, 1),
                    "peak_mib": {name: round(size, 1) for name, size in job.processes.items()},
                    "redis_above_idle_mib": round(job.redis, 1),
                }
                for job in self.streamed
            ],
        }


def write_json(results: Results, path: Path) -> None:
    """Write the results as JSON."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results.as_json(), indent=2) + "\n", encoding="utf-8")
