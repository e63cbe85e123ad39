"""The ledger: what was asked, how far it is, and what became of each learner.

The ledger is the truth about a job; Celery's results and chord counters are only the fast way to learn of it.
A learner's outcome is written in the transaction that links the learner.
"""

import uuid
from datetime import datetime
from typing import ClassVar

from django.db import models

from linking.bulk import Outcome


class LinkingJob(models.Model):
    """One mapping for one program; its id is the task id of the caller.

    ``reply`` holds what the caller wants done with the answer (callbacks, in Celery's own form), so that it can be
    given when every message is lost. ``waits_for`` names jobs over overlapping learners that came first. ``resumes``
    counts how often the job was taken up again since it last made progress. ``undoes`` is the job that this one takes
    back, ``source`` the file it came from, ``purged`` when its learners left the ledger.
    """

    class State(models.TextChoices):
        """A job's life: it ends in one of the last four."""

        RECEIVED = "received"
        RUNNING = "running"
        DONE = "done"
        CANCELLED = "cancelled"
        REFUSED = "refused"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    program_uuid = models.UUIDField()
    state = models.CharField(max_length=9, choices=State, default=State.RECEIVED)
    options = models.JSONField(default=dict)
    digest = models.CharField(max_length=64, blank=True)
    undoes = models.ForeignKey("self", models.PROTECT, null=True, related_name="undoings")
    source = models.CharField(max_length=255, blank=True)
    idempotency_key = models.CharField(max_length=255, null=True, unique=True)  # noqa: DJ001 - unique among those given: none is NULL
    total = models.PositiveIntegerField()
    created = models.DateTimeField(auto_now_add=True)
    started = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)
    dispatched = models.DateTimeField(null=True)
    relies_on_chord = models.BooleanField(default=False)
    resumed = models.DateTimeField(null=True)
    resumes = models.PositiveSmallIntegerField(default=0)
    waits_for = models.JSONField(default=list)
    reply = models.JSONField(default=dict)
    notified = models.DateTimeField(null=True, db_column="announced")
    counts = models.JSONField(default=dict)
    errors_cut = models.BooleanField(default=False)
    message = models.TextField(blank=True)
    purged = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["program_uuid", "created"], name="linkingjob_program_created")]
        # Nobody may add, change or delete a job by hand: these are the permissions that there are.
        default_permissions = ("view",)
        permissions: ClassVar = [
            ("run_linkingjob", "Can upload, preview, run, retry and cancel linking jobs"),
            ("undo_linkingjob", "Can undo linking jobs"),
        ]

    def __str__(self) -> str:
        return f"job {self.pk} ({self.state})"

    @property
    def is_final(self) -> bool:
        """Whether nothing will happen to the job any more."""
        return self.state not in {self.State.RECEIVED, self.State.RUNNING}

    @property
    def began(self) -> datetime:
        """When the first of its learners may have been linked."""
        return self.started or self.created

    @property
    def order(self) -> str:
        """The field in whose order learners who interfere are worked on: an undo goes from the last to the first."""
        return "-position" if self.undoes_id else "position"


OPEN_STATES = (LinkingJob.State.RECEIVED, LinkingJob.State.RUNNING)
"""States of a job that has not ended."""


class JobSlice(models.Model):
    """Some learners of a job that one message carries; the lock under which they are worked on.

    They are those at the positions from ``first`` to ``last`` that name the slice (all there are, but for those that
    interfere with learners of another slice). ``counts`` holds the learners that are done by outcome, so that a job's
    progress is a sum over a few rows and an update of a learner's row touches no index. ``attempts`` counts how often
    the slice was begun since it last made progress, ``started`` tells when it was first begun, ``touched`` when
    something last happened to it.
    """

    job = models.ForeignKey(LinkingJob, models.CASCADE, related_name="slices", db_index=False)
    number = models.PositiveIntegerField()
    total = models.PositiveIntegerField()
    first = models.PositiveIntegerField(default=0)
    last = models.PositiveIntegerField(default=2**31 - 1)
    counts = models.JSONField(default=dict)
    attempts = models.PositiveSmallIntegerField(default=0)
    started = models.DateTimeField(null=True)
    touched = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "number"], name="jobslice_unique_number")]
        default_permissions = ()

    def __str__(self) -> str:
        return f"slice {self.number} of job {self.job_id}"

    @property
    def pending(self) -> "models.QuerySet[LearnerOutcome]":
        """The learners that are not done, in the job's order: found by position, the one index the ledger has."""
        learners = LearnerOutcome.objects.filter(
            job_id=self.job_id, position__range=(self.first, self.last), slice=self.number
        )
        return learners.filter(outcome=Outcome.PENDING).order_by(self.job.order)


class LearnerOutcome(models.Model):
    """One learner of a job: what was asked for, and what became of it."""

    # Without a constraint: checking it a million times for rows that are written with their job would only take time.
    job = models.ForeignKey(LinkingJob, models.CASCADE, related_name="learners", db_index=False, db_constraint=False)
    position = models.PositiveIntegerField()
    external_user_key = models.TextField()
    lms_username = models.TextField()
    slice = models.PositiveIntegerField()
    outcome = models.CharField(
        max_length=14, choices=[(o.value, o.value) for o in Outcome], default=Outcome.PENDING.value
    )
    message = models.TextField(blank=True)
    warnings = models.JSONField(default=list)
    before = models.JSONField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    finished = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "position"], name="learneroutcome_unique")]
        default_permissions = ()  # Whoever may view a job may view its learners.

    def __str__(self) -> str:
        return f"learner {self.position} of job {self.job_id}"


class InboxFile(models.Model):
    """A file of the nightly import, from the moment that it is taken up.

    The row is there before the file is moved. ``name`` is what it was dropped as, ``kept_as`` its name in ``done/`` or
    ``rejected/``, ``leased`` tells when somebody last had it in hand, ``jobs`` are the ids of its jobs, ``options``
    how it is to be imported. ``message`` names no learner.
    """

    class State(models.TextChoices):
        """A file's life: its fate is decided in one transaction, and then carried out in the folder."""

        TAKEN = "taken"
        SUBMITTED = "submitted"
        REFUSED = "refused"
        DONE = "done"
        REJECTED = "rejected"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=255)
    kept_as = models.CharField(max_length=255, blank=True)
    state = models.CharField(max_length=9, choices=State, default=State.TAKEN)
    options = models.JSONField(default=dict)
    digest = models.CharField(max_length=64, blank=True, db_index=True)
    jobs = models.JSONField(default=list)
    message = models.TextField(blank=True)
    created = models.DateTimeField(auto_now_add=True)
    leased = models.DateTimeField(null=True, db_column="attended")
    finished = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"file {self.name} ({self.state})"
