"""How much is measured: sizes, parts and runs, for a full programme, a small one and a long one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a call of the benchmark measures.

    Attributes:
        name: how the call is spelled.
        sizes: learners in a mapping.
        parts: learners that the slow contestants are measured on, by letter.
        rounds: runs of each figure, at most.
        seconds: no run is begun that would not end within so many seconds from the start.
        singles: jobs of one learner whose latency is taken.
        stream: learners of the two streamed jobs, None where none is sent.
    """

    name: str
    sizes: tuple[int, ...]
    parts: dict[str, int]
    rounds: int
    seconds: float
    singles: int
    stream: tuple[int, int] | None = None

    @property
    def largest(self) -> int:
        """The learners that the templates must hold."""
        return max(self.sizes)


DEFAULT = Plan(
    name="make bench",
    sizes=(1_000, 10_000, 100_000),
    parts={"A": 500, "B": 200},
    rounds=5,
    seconds=720,
    singles=200,
)
SMALL = Plan(name="make bench SMALL=1", sizes=(1_000,), parts={"A": 100, "B": 40}, rounds=3, seconds=30, singles=20)
FULL = Plan(
    name="make bench FULL=1",
    sizes=DEFAULT.sizes,
    parts=DEFAULT.parts,
    rounds=DEFAULT.rounds,
    seconds=DEFAULT.seconds,
    singles=DEFAULT.singles,
    stream=(100_000, 1_000_000),
)
