"""Looking for learners of one job, however many it has: no counting, no offset, one page at a time."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import Q, QuerySet

from linking.bulk import Outcome
from worker.admin.charts import label_of
from worker.models import LearnerOutcome, LinkingJob

PAGE = 50
"""Learners on a page."""


class LearnerForm(forms.Form):
    """What to look for. Sent by POST: keys and usernames are personal data, and addresses end up in access logs."""

    text = forms.CharField(
        label="Key or username",
        required=False,
        max_length=255,
        widget=forms.TextInput(
            attrs={"placeholder": "begins with (case matters)", "type": "search", "size": 28, "autocomplete": "off"}
        ),
    )
    outcome = forms.ChoiceField(
        required=False,
        choices=[("", "any outcome"), *((outcome.value, label_of(outcome)) for outcome in Outcome)],
    )
    after = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerPage:
    """Some learners of a job, in mapping order; ``next_after``: where the next page begins, None on the last one."""

    learners: list[LearnerOutcome]
    next_after: int | None


def find_learners(job: LinkingJob, *, text: str = "", outcome: str = "", after: int | None = None) -> LearnerPage:
    """Return a page of the learners whose key or username begins with ``text`` and that have ``outcome``.

    One statement along the index of job and position, that ends with the page: at worst it goes through the learners of
    this one job. Case matters, since folding a million keys would take three times as long.
    """
    found: QuerySet[LearnerOutcome, Any] = job.learners.defer("before").order_by("position")
    if text:
        found = found.filter(Q(external_user_key__startswith=text) | Q(lms_username__startswith=text))
    if outcome:
        found = found.filter(outcome=outcome)
    if after is not None:
        found = found.filter(position__gt=after)
    learners = list(found[: PAGE + 1])
    more = len(learners) > PAGE
    return LearnerPage(learners=learners[:PAGE], next_after=learners[PAGE - 1].position if more else None)
