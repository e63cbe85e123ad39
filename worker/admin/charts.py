"""What the pages draw of a job: a bar of coloured segments as plain numbers, and durations as text."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from linking.bulk import FAILURES, Outcome

WIDTH = 1000
"""Width of a bar in units of its own; it is drawn as wide as its place."""
LEAST = 8
"""Width of a segment, at least: one learner of a million can be seen, too."""
ORDER = (*(outcome for outcome in Outcome if outcome != Outcome.PENDING), Outcome.PENDING)
"""From left to right: what is still open comes last, so that a bar fills up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The learners with one outcome, as a piece of a bar: ``x`` and ``width`` of WIDTH."""

    outcome: str
    count: int
    share: str
    x: int
    width: int

    @property
    def label(self) -> str:
        """The outcome in words."""
        return label_of(self.outcome)

    @property
    def is_failure(self) -> bool:
        """Whether these learners count as failures."""
        return self.outcome in FAILURES


def label_of(outcome: str) -> str:
    """Return an outcome as people write it."""
    return outcome.replace("_", " ")


def segments(counts: Mapping[str, int], total: int) -> list[Segment]:
    """Return the segments of a bar for ``total`` learners; those without an outcome are pending."""
    given = {**counts, Outcome.PENDING: max(total - sum(counts.values()), 0)}
    shown = [(outcome, given[outcome]) for outcome in ORDER if given.get(outcome)]
    widths = _widths([count for _, count in shown])
    drawn, x = [], 0
    for (outcome, count), width in zip(shown, widths, strict=True):
        drawn.append(Segment(outcome=outcome.value, count=count, share=share(count, total), x=x, width=width))
        x += width
    return drawn


def _widths(counts: list[int]) -> list[int]:
    """Return widths in proportion to ``counts`` that make up WIDTH, none below LEAST: the widest makes up for it."""
    if not counts:
        return []
    widths = [max(round(count * WIDTH / sum(counts)), LEAST) for count in counts]
    widths[widths.index(max(widths))] += WIDTH - sum(widths)
    return widths


def share(count: int, total: int) -> str:
    """Return a part as a percentage that is never rounded to nothing or to all."""
    percent = 100 * count / total if total else 100.0
    if 0 < percent < 0.1:  # noqa: PLR2004 - the last digit shown
        return "<0.1%"
    if 99.9 < percent < 100:  # noqa: PLR2004 - as above
        return ">99.9%"
    return f"{percent:.0f}%" if percent.is_integer() else f"{percent:.1f}%"


def duration(time: timedelta | None) -> str:
    """Return a duration as people read it."""
    if time is None:
        return ""
    seconds = time.total_seconds()
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
