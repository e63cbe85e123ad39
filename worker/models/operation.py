"""Tables that recovery, metrics and pages keep beside the jobs."""

from django.db import models


class ProgramName(models.Model):
    """The name of a program for the pages: the LMS's tables have none. Written by hand in the admin."""

    program_uuid = models.UUIDField("program UUID", primary_key=True)
    name = models.CharField(max_length=255, unique=True)

    def __str__(self) -> str:
        return self.name


class JobTotals(models.Model):
    """Sums over the jobs, or dry runs, whose result was sent until a time: see :mod:`worker.jobs.totals`."""

    until = models.DateTimeField()  # The latest ``notified`` of these jobs.
    states = models.JSONField(default=dict)  # Jobs by state.
    counts = models.JSONField(default=dict)  # Learners by outcome.

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"totals until {self.until}"


class RouteMarker(models.Model):
    """The newest marker that was received from a route: see :mod:`worker.jobs.routing`."""

    name = models.CharField(max_length=50, primary_key=True)  # The route's.
    sent = models.DateTimeField()  # When the marker was sent.

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"marker of {self.name}"


class RateLimit(models.Model):
    """The bucket of the maximum rate, one row at most: see :mod:`worker.jobs.rate`."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    # Seconds since 1970, in the database's time, from which on learners may be linked again.
    free_at = models.FloatField(default=0)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"rate limit, free at {self.free_at}"


class RequestAttempts(models.Model):
    """Attempts at a request that was delivered again, while none of them has ended: each has ended its worker."""

    task_id = models.CharField(max_length=255, primary_key=True)  # The caller's task id.
    attempts = models.PositiveSmallIntegerField(default=0)
    begun = models.DateTimeField(auto_now=True)  # When the last attempt began.

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.attempts} attempts at task {self.task_id}"
