"""The page that pauses everything or a program, and resumes what is paused; jobs have buttons on their own pages."""

import logging
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from kombu.exceptions import OperationalError as BrokerError

from worker import dispatch, jobs
from worker.admin.confirmations import ConfirmForm
from worker.admin.programs import ProgramField, ProgramInput, names_by_program
from worker.exceptions import JobError
from worker.jobs.pauses import MAX_TEXT
from worker.models import LinkingJob, Pause
from worker.models.pauses import EVERYTHING

log = logging.getLogger(__name__)

PAGE = "admin:worker_linkingjob_pauses"
NOT_SENT = "The broker does not answer: what was paused is resumed, and recovery sends its jobs when it is back."


def _reason_field() -> forms.CharField:
    return forms.CharField(
        required=False,
        max_length=MAX_TEXT,
        help_text="Shown to everybody on the pages, beside your name.",
        widget=forms.TextInput(attrs={"size": 60}),
    )


class PauseJobForm(ConfirmForm):
    """A confirmation to pause a job."""

    reason = _reason_field()


class PauseForm(forms.Form):
    """What to pause, and why."""

    program_uuid = ProgramField(
        label="Program",
        required=False,
        help_text="Its jobs wait. Empty: everything waits.",
        widget=ProgramInput(attrs={"size": 40}),
    )
    reason = _reason_field()


def notice_of_pauses(request: HttpRequest) -> dict[str, Any]:
    """Return the context of ``pause_notice.html``: all pauses; none for a user who may not view jobs."""
    is_permitted = request.user.has_perm("worker.view_linkingjob")
    return context_of(list(Pause.objects.order_by("created")[:100]) if is_permitted else [])


def context_of(pauses: list[Pause]) -> dict[str, Any]:
    """Return pauses, and the names of their programs, for the pages."""
    programs = [pause.target for pause in pauses if pause.kind == Pause.Kind.PROGRAM]
    return {"pauses": pauses, "program_names": names_by_program(programs) if programs else {}}


def pause_job(job: LinkingJob, reason: str, user: str) -> LinkingJob:
    """Pause a job; return it."""
    jobs.pause(Pause.Kind.JOB, job.pk, paused_by=user, reason=reason)
    return job


def resume_job(job: LinkingJob, user: str) -> LinkingJob:
    """Resume a job and send its slices; return it."""
    dispatch.send_resumed(jobs.resume(Pause.Kind.JOB, job.pk, resumed_by=user))
    return job


def is_held(job: LinkingJob) -> bool:
    """Return whether a job itself is paused."""
    return Pause.objects.filter(kind=Pause.Kind.JOB, target=job.pk).exists()


def change_pauses(request: HttpRequest) -> tuple[PauseForm, HttpResponse | None]:
    """Perform what was posted to the page of pauses; return its form, and where to go if something was done."""
    user = request.user.get_username()
    if request.method == "POST" and "resume" in request.POST:
        _resume(request, request.POST["resume"], user)
        return PauseForm(), redirect(PAGE)
    form = PauseForm(request.POST or None)
    if form.is_valid():
        program = form.cleaned_data["program_uuid"]
        kind = Pause.Kind.PROGRAM if program else Pause.Kind.EVERYTHING
        jobs.pause(kind, program or EVERYTHING, paused_by=user, reason=form.cleaned_data["reason"])
        return form, redirect(PAGE)
    return form, None


def _resume(request: HttpRequest, key: str, user: str) -> None:
    pause = Pause.objects.filter(pk=key).first() if key.isdecimal() else None
    try:
        if pause is not None:  # Else somebody else has resumed it.
            dispatch.send_resumed(jobs.resume(Pause.Kind(pause.kind), pause.target, resumed_by=user))
    except JobError as error:
        messages.info(request, str(error))
    except BrokerError:
        log.warning("the jobs of a removed pause could not be sent; recovery sends them later")
        messages.warning(request, NOT_SENT)
