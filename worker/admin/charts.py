"""Bars of the pages: plain numbers for the templates, which draw them as SVG."""

from itertools import accumulate
from typing import Any

from linking.bulk import FAILURES, Outcome
from worker.admin.labels import outcome_label, percentage
from worker.jobs import Progress

WIDTH = 1000
"""Width of a bar, in units of its view box."""
MIN_WIDTH = 8
"""Least width of a segment: one learner of a million is visible, too."""
ORDER = (*(outcome for outcome in Outcome if outcome != Outcome.PENDING), Outcome.PENDING)
"""Outcomes from left to right: pending learners come last, so that a bar fills up."""


def progress_bar(progress: Progress) -> dict[str, Any]:
    """Return the context of ``progress_bar.html``: the share of learners that are done, as a width and as text."""
    width = WIDTH * progress.done // progress.total if progress.total else WIDTH
    return {"width": width, "share": percentage(progress.done, progress.total)}


def outcome_bar(progress: Progress) -> dict[str, Any]:
    """Return the context of ``outcome_bar.html``: a segment for each outcome, and the same as text."""
    counts = {**progress.counts, Outcome.PENDING: max(progress.total - progress.done, 0)}
    shown = [outcome for outcome in ORDER if counts.get(outcome)]
    widths = _widths([counts[outcome] for outcome in shown])
    segments = [
        {
            "outcome": outcome.value,
            "is_failure": outcome in FAILURES,
            "count": counts[outcome],
            "share": percentage(counts[outcome], progress.total),
            "x": end - width,
            "width": width,
        }
        for outcome, width, end in zip(shown, widths, accumulate(widths), strict=True)
    ]
    text = ", ".join(f"{counts[outcome]:,} {outcome_label(outcome)}" for outcome in shown)
    return {"segments": segments, "text": text or "no learners"}


def _widths(counts: list[int]) -> list[int]:
    """Return widths in proportion to ``counts``, none below MIN_WIDTH, that sum to WIDTH."""
    if not counts:
        return []
    widths = [max(round(count * WIDTH / sum(counts)), MIN_WIDTH) for count in counts]
    # The widest segment compensates for rounding and for segments of the least width.
    widths[widths.index(max(widths))] += WIDTH - sum(widths)
    return widths
