"""Slicing: the learners of a job are cut into slices, those that interfere into one."""

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


def slice_size(request: LinkRequest) -> int:
    """Return the learners per slice: one for a small mapping; few messages for a large one."""
    even = math.ceil(request.total / settings.LINKING_MAX_SUBTASKS)
    return request.learners_per_subtask or min(max(even, 1), settings.LINKING_MAX_SLICE)


def cut_into_slices(job: LinkingJob) -> None:
    """Move interfering learners into the slice of the first of them, and write the slices."""
    groups = interfering_learners(job.program_uuid, mapping_of(job.learners.all(), job))
    number = dict(job.learners.filter(position__in=groups).values_list("position", "slice")) if groups else {}
    moved = {position: number[first] for position, first in groups.items() if number[position] != number[first]}
    move_learners(job.pk, moved)
    write_slices(job)


def write_slices(job: LinkingJob) -> None:
    """Write the slices that the learners of a job name."""
    extents = job.learners.values_list("slice").annotate(Count("id"), Min("position"), Max("position"))
    JobSlice.objects.bulk_create(
        [
            JobSlice(job=job, number=number, total=size, first=first, last=last)
            for number, size, first, last in extents.order_by("slice")
        ],
        batch_size=500,
    )


def mapping_of(learners: "QuerySet[LearnerOutcome]", job: LinkingJob) -> "QuerySet[LearnerOutcome]":
    """Limit learners of a job to their number: it leaves none out, and gives the planner an estimate."""
    return learners[: max(job.total, 1)]


def open_slices(job: LinkingJob) -> list[int]:
    """Return the numbers of the slices that are not finished."""
    return list(job.slices.filter(finished=None).order_by("number").values_list("number", flat=True))
