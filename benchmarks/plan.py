"""The amount that is measured: sizes, parts and runs, for the default, the small and the full benchmark."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The measurements of one benchmark.

    Attributes:
        name: the command that runs it.
        figures: the figures in the README that it writes; empty for none.
        output: name of the JSON file and the chart in ``results/``.
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
    figures: str = ""
    output: str = "latest"
    sizes: tuple[int, ...]
    parts: dict[str, int]
    rounds: int
    seconds: float
    singles: int = 0
    bursts: tuple[int, ...] = ()
    distant: tuple[int, ...] = ()
    stream: tuple[int, int] | None = None

    @property
    def largest(self) -> int:
        """The number of learners in the templates."""
        return max(self.sizes)


DEFAULT = Plan(
    name="make bench",
    figures="figures",
    sizes=(100, 1_000, 10_000, 100_000),
    parts={"A": 500, "B": 200},
    rounds=5,
    seconds=840,
    singles=200,
    bursts=(100, 1_000, 10_000),
    distant=(100, 1_000, 20_000),
)
SMALL = Plan(
    name="make bench SMALL=1",
    output="small",
    sizes=(100, 1_000),
    parts={"A": 100, "B": 40},
    rounds=3,
    seconds=30,
    singles=20,
    bursts=(100,),
    distant=(1_000,),
)
MYSQL = Plan(
    name="make bench DATABASE={}",
    figures="figures on {}",
    output="{}",
    sizes=(100_000,),
    parts={"A": 300},
    rounds=3,
    seconds=420,
    stream=(20_000, 100_000),
)
SMALL_MYSQL = Plan(
    name="make bench DATABASE={} SMALL=1",
    output="small-{}",
    sizes=(1_000,),
    parts={"A": 50},
    rounds=2,
    seconds=30,
)
FULL = replace(DEFAULT, name="make bench FULL=1", stream=(100_000, 1_000_000))


def on(plan: Plan, database: str, *, lms: bool = False) -> Plan:
    """Return the plan for MySQL or MariaDB that replaces one for PostgreSQL."""
    plan = SMALL_MYSQL if plan is SMALL else MYSQL
    title = {"mysql": "MySQL", "mariadb": "MariaDB"}[database]
    name, figures, output = plan.name.format(database), plan.figures.format(title), plan.output.format(database)
    if lms:
        name, output = f"{name} LMS=1", f"{output}-lms"
        figures = figures and f"{figures} with history"
    return replace(plan, name=name, figures=figures, output=output)
