"""Search for learners of one job, however many it has: keyset pagination, no count."""

from dataclasses import dataclass

from django import forms

from linking.bulk import Outcome
from worker.admin.labels import outcome_label
from worker.jobs.selection import CHANGES_HANDS, FAILED, WARNED, search, select, with_former_username
from worker.models import LearnerOutcome, LinkingJob

PAGE_SIZE = 50
"""Learners on a page."""


class LearnerForm(forms.Form):
    """A search for learners. Sent by POST: keys and usernames are personal data, and URLs end up in access logs."""

    text = forms.CharField(
        label="Key or username",
        required=False,
        max_length=255,
        widget=forms.TextInput(
            attrs={"placeholder": "begins with (case-sensitive)", "type": "search", "size": 28, "autocomplete": "off"}
        ),
    )
    outcome = forms.ChoiceField(
        required=False,
        choices=[
            ("", "all learners"),
            (FAILED, "all failures"),
            (CHANGES_HANDS, "changes hands"),
            (WARNED, "with warnings"),
            ("Outcomes", [(outcome.value, outcome_label(outcome)) for outcome in Outcome]),
        ],
    )
    after = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerPage:
    """Learners in mapping order; the next page begins after position ``next_after``, None on the last page."""

    learners: list[LearnerOutcome]
    next_after: int | None


def find_learners(job: LinkingJob, *, text: str = "", outcome: str = "", after: int | None = None) -> LearnerPage:
    """Return a page of the learners that a search for ``text`` finds, of a selection or with an outcome.

    One statement along the index of job and position, which stops when the page is full, and at worst reads the
    learners of this one job; before it, for a text, one that looks up the former user. The search is case-sensitive:
    folding a million keys would take three times as long.
    """
    found = select(with_former_username(job.learners.defer("before").order_by("position")), outcome)
    if text:
        found = search(found, text)
    if after is not None:
        found = found.filter(position__gt=after)
    learners = list(found[: PAGE_SIZE + 1])
    has_more = len(learners) > PAGE_SIZE
    return LearnerPage(learners=learners[:PAGE_SIZE], next_after=learners[PAGE_SIZE - 1].position if has_more else None)
