"""Jobs, their states, and their places in the queues of learners."""

import uuid
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from django.db import models

from worker.exceptions import JobError

Cursor = tuple[str, str]
"""Where a walk over jobs continues: time of submission (ISO 8601) and id of the last job."""


class JobQuerySet(models.QuerySet["LinkingJob"]):
    """Jobs by what is still to be done for them."""

    def open(self) -> "JobQuerySet":
        """Return the jobs that have not reached a final state."""
        return self.filter(state__in=LinkingJob.OPEN_STATES)

    def unnotified(self) -> "JobQuerySet":
        """Return the jobs whose end is still to be sent. A job refused at submission was answered by its request."""
        return self.filter(notified=None).exclude(state=LinkingJob.State.REFUSED, waits_for=[])

    def without_dry_runs(self) -> "JobQuerySet":
        """Return the jobs that change rows."""
        return self.filter(options__dry_run=False)

    def dry_runs(self) -> "JobQuerySet":
        """Return the jobs that only find out what would happen."""
        return self.filter(options__dry_run=True)

    def waiting(self) -> "JobQuerySet":
        """Return the jobs that wait for others, or waited and are about to begin."""
        return self.filter(state=LinkingJob.State.RECEIVED, dispatched=None).exclude(waits_for=[])

    def after(self, cursor: Cursor | None) -> "JobQuerySet":
        """Return the jobs, the oldest first, that follow a job; all if there is no cursor."""
        jobs = self.order_by("created", "pk")
        if cursor is None:
            return jobs
        created, pk = datetime.fromisoformat(cursor[0]), UUID(cursor[1])
        return jobs.filter(created__gte=created).filter(models.Q(created__gt=created) | models.Q(pk__gt=pk))

    def find(self, job_id: UUID) -> "LinkingJob":
        """Return a job by its id.

        Raises:
            JobError: there is no such job.
        """
        job = self.filter(pk=job_id).first()
        if job is None:
            msg = f"there is no job {job_id}: manage.py linking_jobs list shows those that there are."
            raise JobError(msg)
        return job


class LinkingJob(models.Model):
    """One mapping for one program; its id is the task id of the caller.

    ============ ======================================================= ============== ================================
    State        Meaning                                                 Next           Changed by
    ============ ======================================================= ============== ================================
    ``received`` in the ledger with learners and slices; not begun:      ``running``    ``jobs.start``,
                 it waits for jobs over the same learners that were                     ``jobs.recovery``
                 submitted before (:class:`Claim`)                       ``refused``    ``jobs.submit``, ``jobs.start``
                                                                         ``cancelled``  ``jobs.cancel``
                                                                         ``failed``     ``jobs.recovery``
    ``running``  its slices may be linking learners                      ``done``       ``jobs.finish``
                                                                         ``cancelled``  ``jobs.cancel``
                                                                         ``failed``     ``jobs.recovery``
    ``done``     each learner has its outcome                            final
    ``cancelled`` open learners get the outcome ``cancelled``            final
    ``refused``  more relinks than ``max_relinks``; nothing was linked   final
    ``failed``   no progress after repeated recovery; open learners      final
                 get the outcome ``error``
    ============ ======================================================= ============== ================================

    Timestamps show what was done for the job, whatever its state: ``dispatched`` once all its slices have a message,
    ``resumed`` when recovery last sent the open ones again, ``notified`` once its result is stored and its callbacks
    are sent (``jobs.finish``), ``purged`` once its learners were removed (``jobs.purge``).
    """

    class State(models.TextChoices):
        """States of a job; the last four are final."""

        RECEIVED = "received"
        RUNNING = "running"
        DONE = "done"
        CANCELLED = "cancelled"
        REFUSED = "refused"
        FAILED = "failed"

    class Kind(models.TextChoices):
        """Kinds of jobs, as people read them."""

        LINK = "link"
        DRY_RUN = "dry run"
        UNDO = "undo"
        UNDO_DRY_RUN = "undo (dry run)"

    OPEN_STATES = (State.RECEIVED, State.RUNNING)

    # The caller's task id: the result is stored under it.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    program_uuid = models.UUIDField()  # The program whose enrollments are linked.
    state = models.CharField(max_length=9, choices=State, default=State.RECEIVED)  # See the table above.
    # Of the request: dry_run (bool), max_relinks (int, "N%" or null), learners_per_subtask (int or null). Of a file
    # whose rows are recorded: skipped (int), the rows that are left out as they were in the file before.
    options = models.JSONField(default=dict)
    # SHA-256 of program, mapping and options, in hex: a second request with the same id or key must have the same.
    digest = models.CharField(max_length=64, blank=True)
    # The job that this one undoes.
    undoes = models.ForeignKey("self", models.PROTECT, null=True, related_name="undoings")
    # Where the mapping came from: the name of a file, or "HTTP: " and the name of an API token.
    source = models.CharField(max_length=255, blank=True)
    # Chosen by the caller: requests with the same key are one job.
    idempotency_key = models.CharField(max_length=255, null=True, unique=True)  # noqa: DJ001 - no key is NULL: unique
    total = models.PositiveIntegerField()  # Number of learners.
    created = models.DateTimeField(auto_now_add=True)  # When the job was submitted.
    started = models.DateTimeField(null=True)  # When its state became running.
    finished = models.DateTimeField(null=True)  # When it reached a final state.
    dispatched = models.DateTimeField(null=True)  # When all its slices had been sent for the first time.
    resumed = models.DateTimeField(null=True)  # When recovery last sent its open slices, or its end, again.
    # Consecutive recoveries without a slice finished in between.
    resumes = models.PositiveSmallIntegerField(default=0)
    # Ids of jobs that it had to wait for when it was submitted, ten at most; its claims say whether it still must.
    waits_for = models.JSONField(default=list)
    # Task id, callbacks, errbacks, chain and chord of the request message, in Celery's form: its end is sent by them.
    reply = models.JSONField(default=dict)
    # When its result was stored and its callbacks were sent. (The column has an older name.)
    notified = models.DateTimeField(null=True, db_column="announced")
    # Learners by outcome, once the job has ended; before that, the sum over its slices.
    counts = models.JSONField(default=dict)
    # Whether the stored result lacks errors beyond LINKING_MAX_RESULT_ERRORS.
    errors_cut = models.BooleanField(default=False)
    message = models.TextField(blank=True)  # Why the job was refused, failed or cancelled.
    # Learners whose enrollment would change hands, of a job that was refused for their number.
    relinks = models.PositiveIntegerField(null=True)
    purged = models.DateTimeField(null=True)  # When its learners were removed from the ledger, or began to be.
    purging = models.BooleanField(default=False, db_default=False)  # Whether it is purged and some learners are left.

    objects = JobQuerySet.as_manager()

    class Meta:
        # Each serves a query that must cost the same however many jobs have ended (decision 12).
        indexes: ClassVar = [
            models.Index(fields=["program_uuid", "created"], name="linkingjob_program_created"),
            models.Index(fields=["created"], name="linkingjob_created"),  # The newest jobs.
            # Jobs whose end is to be sent, the oldest first; jobs that ended since a time.
            models.Index(fields=["notified", "created"], name="linkingjob_notified"),
            # Open jobs, and those in a rare final state.
            models.Index(fields=["state", "created"], name="linkingjob_state", condition=~models.Q(state="done")),
            models.Index(fields=["created"], name="linkingjob_undo", condition=models.Q(undoes__isnull=False)),
            models.Index(fields=["created"], name="linkingjob_dry_run", condition=models.Q(options__dry_run=True)),
            models.Index(fields=["source"], name="linkingjob_source", condition=~models.Q(source="")),
            # Jobs to purge.
            models.Index(
                fields=["finished"],
                name="linkingjob_purge",
                condition=models.Q(purged=None) | models.Q(purging=True),
            ),
        ]
        # No one adds, changes or deletes a job by hand: these are all permissions.
        default_permissions = ("view",)
        permissions: ClassVar = [
            ("run_linkingjob", "Can upload, preview, run, retry and cancel linking jobs"),
            ("undo_linkingjob", "Can undo linking jobs"),
        ]

    def __str__(self) -> str:
        return f"job {self.pk} ({self.state})"

    @property
    def is_final(self) -> bool:
        """Whether the job has reached a final state."""
        return self.state not in self.OPEN_STATES

    @property
    def dry_run(self) -> bool:
        """Whether the job only finds out what would happen."""
        return bool(self.options.get("dry_run"))

    @property
    def cursor(self) -> Cursor:
        """The place of the job in a walk over jobs."""
        return self.created.isoformat(), str(self.pk)

    @property
    def kind(self) -> Kind:
        """The job's kind."""
        if self.undoes_id is None:
            return self.Kind.DRY_RUN if self.dry_run else self.Kind.LINK
        return self.Kind.UNDO_DRY_RUN if self.dry_run else self.Kind.UNDO

    @property
    def earliest_change(self) -> datetime:
        """A time before which the job linked no learner."""
        return self.started or self.created

    @property
    def learner_order(self) -> str:
        """The field that orders interfering learners: an undo goes from the last to the first."""
        return "position" if self.undoes_id is None else "-position"


class Claim(models.Model):
    """A place of a job in the queue of a token (:mod:`linking.engine.interference`).

    A job has a claim on each token of its learners from its submission until its result is sent. It begins when it has
    the first claim on each of its tokens.
    """

    # No constraint: it would be checked for each of the millions of rows of a large job.
    job = models.ForeignKey(LinkingJob, models.CASCADE, related_name="claims", db_constraint=False)
    token = models.BigIntegerField()  # Hash of program and token.
    # For the token of a key: the token of the user that the job links to the key. A later job over this key claims it.
    brings = models.BigIntegerField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["token", "id"], name="claim_token")]
        default_permissions = ()

    def __str__(self) -> str:
        return f"claim {self.pk} of job {self.job_id}"
