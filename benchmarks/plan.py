"""The amount that is measured: sizes, parts and runs, for the default, the small and the full benchmark."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The measurements of one benchmark.

    Attributes:
        name: the command that runs it.
        sizes: learners per mapping.
        parts: learners of the mappings on which slow variants are measured, by letter.
        rounds: maximum runs of each figure.
        seconds: time limit; a run that would exceed it is not started.
        singles: jobs of one learner whose latency is measured.
        bursts: jobs of one learner that are sent at once.
        distant: learners of the jobs of a worker that is far from its database.
        stream: learners of the two streamed jobs; None for no such job.
    """

    name: str
    sizes: tuple[int, ...]
    parts: dict[str, int]
    rounds: int
    seconds: float
    singles: int
    bursts: tuple[int, ...]
    distant: tuple[int, ...]
    stream: tuple[int, int] | None = None

    @property
    def largest(self) -> int:
        """The number of learners in the templates."""
        return max(self.sizes)


DEFAULT = Plan(
    name="make bench",
    sizes=(100, 1_000, 10_000, 100_000),
    parts={"A": 500, "B": 200},
    rounds=5,
    seconds=720,
    singles=200,
    bursts=(100, 1_000, 10_000),
    distant=(100, 1_000, 20_000),
)
SMALL = Plan(
    name="make bench SMALL=1",
    sizes=(100, 1_000),
    parts={"A": 100, "B": 40},
    rounds=3,
    seconds=30,
    singles=20,
    bursts=(100,),
    distant=(1_000,),
)
FULL = replace(DEFAULT, name="make bench FULL=1", stream=(100_000, 1_000_000))
