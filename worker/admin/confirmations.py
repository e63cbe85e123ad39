"""The forms that confirm an action on a job."""

from functools import cached_property
from typing import Any
from uuid import uuid4

from django import forms
from django.conf import settings

from worker.jobs.queueing import relinks_of
from worker.models import LinkingJob
from worker.relink_limit import parse_relink_limit


class ConfirmForm(forms.Form):
    """A confirmation; ``job_id`` is the id of the job to be made: a form that is sent twice makes one job.

    Args:
        data: the fields, None for a form that is shown.
        job: the job that the action is for.
    """

    job_id = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, job: LinkingJob) -> None:
        super().__init__(data)
        self.job = job


class RunForm(ConfirmForm):
    """A confirmation to run what a dry run has shown."""

    max_relinks = forms.CharField(
        label="Enrollments that may change hands",
        initial=lambda: settings.LINKING_IMPORT_MAX_RELINKS,
        required=False,
        max_length=20,
        help_text="A number or a percentage (5%). If more would change hands, nothing is written. Empty: no limit.",
        widget=forms.TextInput(attrs={"size": 8}),
        empty_value=None,
    )

    @cached_property
    def relinks(self) -> int:
        """The number of learners that the limit counts now; it counts those that fail, too."""
        return relinks_of(self.job)

    def clean_max_relinks(self) -> int | str | None:
        """Return the limit as a request has it."""
        text: str | None = self.cleaned_data["max_relinks"]
        try:
            return parse_relink_limit(text and text.replace(" ", ""))
        except ValueError:
            msg = "Give a whole number such as 12, or a percentage from 0% to 100%."
            raise forms.ValidationError(msg) from None


class HigherLimitForm(RunForm):
    """A confirmation to run a refused job with a limit that allows what would change hands now."""

    def __init__(self, data: Any = None, *, job: LinkingJob) -> None:
        super().__init__(data, job=job)
        if data is None:
            self.initial["max_relinks"] = self.relinks
