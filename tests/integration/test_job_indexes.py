"""Queries that must not read the jobs that have ended are answered from an index made for them."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from tests.support.ids import PROGRAM
from tests.support.jobs import run_job, submit, undo
from tests.support.populations import add_learners
from worker.admin.job_admin import KindFilter
from worker.jobs.purge import _expired
from worker.models import JobSlice, LinkingJob

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("config.getoption('database') != 'postgres'", reason="the plans of PostgreSQL"),
]
jobs = LinkingJob.objects
now = timezone.now()
newest = jobs.order_by("-created")
QUERIES: dict[str, tuple[str, Any]] = {
    "a sweep": ("linkingjob_notified", jobs.unnotified().filter(created__lt=now).order_by("created", "pk")[:500]),
    "jobs that ended since": ("linkingjob_notified", jobs.filter(notified__gt=now)),
    "open jobs": ("linkingjob_state", jobs.open()),
    "slices of open jobs": (
        "linkingjob_state",
        JobSlice.objects.filter(job__state__in=LinkingJob.OPEN_STATES, finished=None),
    ),
    "the newest jobs": ("linkingjob_created", newest[:25]),
    "failed jobs": ("linkingjob_state", newest.filter(state="failed")[:25]),
    "undos": ("linkingjob_undo", newest.filter(KindFilter.queries["undo"])[:25]),
    "dry runs": ("linkingjob_dry_run", newest.filter(KindFilter.queries["preview"])[:25]),
    "jobs of a file": ("linkingjob_source", newest.filter(source="roster.csv")),
    "jobs to purge": ("linkingjob_purge", _expired(now - timedelta(days=90)).order_by("finished")[:1000]),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_that_must_not_read_all_jobs_uses_its_index(name: str) -> None:
    undo(run_job(add_learners(1)))
    run_job(add_learners(1), dry_run=True)
    submit(add_learners(1))
    LinkingJob.objects.bulk_create(
        LinkingJob(id=uuid4(), program_uuid=PROGRAM, state="done", total=0, notified=now, finished=now)
        for _ in range(500)
    )
    LinkingJob.objects.filter(total=0).update(created=now - timedelta(days=1))
    index, query = QUERIES[name]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE worker_linkingjob")
        # With a handful of rows the planner would read the table.
        cursor.execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
        )
        plan = query.explain()

    assert index in plan, plan
