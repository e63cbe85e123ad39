"""The learners of a job, and the slices that it is cut into."""

from typing import ClassVar

from django.db import models

from linking.bulk import Outcome
from worker.models.jobs import LinkingJob


class JobSlice(models.Model):
    """Learners of a job that one message carries. The row's lock serialises deliveries of that message.

    A slice has the learners at positions ``first`` to ``last`` whose ``slice`` is its number: all in that range but
    those that interfere with learners of another slice. Its counts make a job's progress a sum over a few rows, and
    keep the learners' rows free of indexes on what changes.
    """

    # The job, and the slice's number in it, from 0.
    job = models.ForeignKey(LinkingJob, models.CASCADE, related_name="slices", db_index=False)
    number = models.PositiveIntegerField()
    total = models.PositiveIntegerField()  # Number of learners.
    # Lowest and highest position of its learners.
    first = models.PositiveIntegerField(default=0)
    last = models.PositiveIntegerField(default=2**31 - 1)
    counts = models.JSONField(default=dict)  # Learners by outcome, as far as they have one.
    # Attempts since the slice last made progress, each counted before it begins.
    attempts = models.PositiveSmallIntegerField(default=0)
    started = models.DateTimeField(null=True)  # When the first attempt began.
    # When an attempt last began or wrote outcomes: the slice's sign of life for recovery.
    touched = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)  # When its last learner got its outcome.

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "number"], name="jobslice_unique_number")]
        default_permissions = ()

    def __str__(self) -> str:
        return f"slice {self.number} of job {self.job_id}"

    @property
    def pending(self) -> "models.QuerySet[LearnerOutcome]":
        """The slice's learners without an outcome, in the job's order; read along the index of job and position."""
        learners = LearnerOutcome.objects.filter(
            job_id=self.job_id, position__range=(self.first, self.last), slice=self.number
        )
        return learners.filter(outcome=Outcome.PENDING).order_by(self.job.learner_order)


class LearnerOutcome(models.Model):
    """One learner of a job: what was requested, and its outcome."""

    # The job. No constraint: it would be checked for each of a million rows that are written with their job.
    job = models.ForeignKey(LinkingJob, models.CASCADE, related_name="learners", db_index=False, db_constraint=False)
    position = models.PositiveIntegerField()  # Place in mapping order, from 0.
    # The mapping's entry.
    external_user_key = models.TextField()
    lms_username = models.TextField()
    slice = models.PositiveIntegerField()  # Number of the slice that links the learner.
    # See linking.outcomes.Outcome.
    outcome = models.CharField(
        max_length=14, choices=[(o.value, o.value) for o in Outcome], default=Outcome.PENDING.value
    )
    message = models.TextField(blank=True)  # Why the learner was not linked, as in the error dictionary.
    # Texts about a learner that was linked all the same, such as a role that could not be granted; before that, about
    # its entry in the mapping.
    warnings = models.JSONField(default=list)
    before = models.JSONField(null=True)  # What linking changed, for undo: see linking.engine.change.
    # Attempts in isolation, and the one that wrote the outcome.
    attempts = models.PositiveSmallIntegerField(default=0)
    finished = models.DateTimeField(null=True)  # When the outcome was written.

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "position"], name="learneroutcome_unique")]
        default_permissions = ()  # The permission to view a job covers its learners.

    def __str__(self) -> str:
        return f"learner {self.position} of job {self.job_id}"
