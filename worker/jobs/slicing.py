"""Slicing: the learners of a job are cut into slices, those that interfere into one."""

import math
from collections.abc import Iterable

from django.conf import settings
from django.db.models import Count, Max, Min

from linking.bulk import Statement, fetch, interfering_learners, stored
from worker.jobs.learners import move_learners, write_key_warnings
from worker.jobs.request import LinkRequest
from worker.jobs.tables import LEARNERS, SLICES
from worker.models import JobSlice, LinkingJob

ALONE = 16
"""Learners of a mapping up to which each has a message of its own."""


def slice_size(request: LinkRequest) -> int:
    """Return the learners per slice of a job."""
    return request.learners_per_subtask or default_slice_size(request.total)


def default_slice_size(total: int) -> int:
    """Return the learners per slice: one for a small mapping; few messages, none of them tiny, for a larger one."""
    if total <= ALONE:
        return 1
    even = math.ceil(total / settings.LINKING_MAX_SUBTASKS)
    return min(max(even, settings.LINKING_MIN_SLICE), settings.LINKING_MAX_SLICE)


def cut_into_slices(job: LinkingJob) -> None:
    """Move interfering learners into the slice of the first of them, and write the slices.

    Learners that share a key, in different case, get a warning.
    """
    groups, same_key = interfering_learners(job.program_uuid, mapping_of(job)) if job.total > 1 else ({}, [])
    write_key_warnings(job.pk, same_key)
    number = dict(job.learners.filter(position__in=groups).values_list("position", "slice")) if groups else {}
    moved = {position: number[first] for position, first in groups.items() if number[position] != number[first]}
    move_learners(job.pk, moved)
    write_slices(job)


def write_slices(job: LinkingJob) -> None:
    """Write the slices that the learners of a job name."""
    extents = job.learners.values_list("slice").annotate(Count("id"), Min("position"), Max("position"))
    _write(
        JobSlice(job=job, number=number, total=size, first=first, last=last)
        for number, size, first, last in extents.order_by("slice")
    )


def write_even_slices(job: LinkingJob, size: int) -> None:
    """Write the slices of a job of which no learners interfere: they are cut by position, ``size`` in each."""
    ends = ((first, min(first + size, job.total) - 1) for first in range(0, job.total, size))
    _write(
        JobSlice(job=job, number=number, total=last - first + 1, first=first, last=last)
        for number, (first, last) in enumerate(ends)
    )


def _write(slices: Iterable[JobSlice]) -> None:
    JobSlice.objects.bulk_create(slices, batch_size=500)


def mapping_of(job: LinkingJob) -> Statement:
    """Return a query of the learners of a job; the limit leaves none out, and gives the planner an estimate."""
    sql = f"SELECT position, external_user_key, lms_username FROM {LEARNERS} WHERE job_id = %s LIMIT %s"
    return sql, [stored(job.pk), max(job.total, 1)]


def open_slices(job: LinkingJob) -> list[int]:
    """Return the numbers of the slices that are not finished."""
    sql = f"SELECT number FROM {SLICES} WHERE job_id = %s AND finished IS NULL ORDER BY number"
    return [number for (number,) in fetch(sql, [job.pk])]
