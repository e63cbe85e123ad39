"""Cutting a job's learners into slices."""

import math
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Count, Max, Min

from linking.bulk import interfering_learners
from worker.jobs.learners import move_learners
from worker.jobs.request import LinkRequest
from worker.models import JobSlice, LearnerOutcome, LinkingJob

if TYPE_CHECKING:
    from django.db.models import QuerySet


def slice_size(order: LinkRequest) -> int:
    """Return learners per slice: few messages for a large mapping, one message per learner for a small one."""
    even = math.ceil(order.total / settings.LINKING_MAX_SUBTASKS)
    return order.learners_per_subtask or min(max(even, 1), settings.LINKING_MAX_SLICE)


def cut_into_slices(job: LinkingJob) -> None:
    """Bring learners that interfere into one slice, that of the first of them, and write down the slices."""
    learners = LearnerOutcome.objects.filter(job=job)
    groups = interfering_learners(job.program_uuid, mapping_of(learners, job))
    at = dict(learners.filter(position__in=groups).values_list("position", "slice")) if groups else {}
    move_learners(job.id, {place: at[first] for place, first in groups.items() if at[place] != at[first]})
    write_slices(job)


def write_slices(job: LinkingJob) -> None:
    """Write the slices of a job, as its learners name them."""
    learners = LearnerOutcome.objects.filter(job=job)
    extents = learners.values_list("slice").annotate(Count("id"), Min("position"), Max("position")).order_by("slice")
    JobSlice.objects.bulk_create(
        [JobSlice(job=job, number=number, total=size, first=first, last=last) for number, size, first, last in extents],
        batch_size=500,
    )


def mapping_of(learners: "QuerySet[LearnerOutcome]", job: LinkingJob) -> "QuerySet[LearnerOutcome]":
    """Limit learners of a job to their number, which leaves none out and tells the planner how few they are."""
    return learners[: max(job.total, 1)]


def open_slices(job: LinkingJob) -> list[int]:
    """Return the numbers of the slices that are not finished."""
    return list(job.slices.filter(finished=None).order_by("number").values_list("number", flat=True))
