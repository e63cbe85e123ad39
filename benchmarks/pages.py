"""The admin's pages of a job of 1,000,000 learners: number of statements, and time.

``python -m benchmarks.pages [LEARNERS]`` calls the WSGI application in this process through Django's test client. The
first call of each page counts the statements; the time is the median of further calls.
"""

import argparse
import os
import statistics
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks.servers import start_servers

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 5
SLICE = 1_000
LEARNERS = """
    INSERT INTO worker_learneroutcome
        (job_id, position, external_user_key, lms_username, slice, outcome, message, warnings, attempts, finished,
        before)
    SELECT %(job)s, n, 'key-' || lpad(n::text, 7, '0'), 'learner-' || n, n / %(slice)s,
        CASE n %% 100 WHEN 0 THEN 'no_user' WHEN 1 THEN 'relinked' ELSE 'linked' END, '', '[]', 1, now(),
        CASE WHEN n %% 100 > 0 THEN jsonb_build_object('version', 2, 'enrollment', n,
            'user', jsonb_build_array(CASE n %% 100 WHEN 1 THEN n / 100 + 10000000 END, n), 'courses', '[]'::jsonb) END
    FROM generate_series(0, %(total)s - 1) n
"""
USERS = """
    INSERT INTO auth_user (id, username, password, is_superuser, first_name, last_name, email, is_staff, is_active,
        date_joined)
    SELECT n, 'former-' || n, '', false, '', '', '', false, true, now()
    FROM generate_series(10000000, 10000000 + %(total)s / 100) n
"""
"""The users from whom a hundredth of the learners take their enrollments."""
ENROLLMENTS = """
    INSERT INTO program_enrollments_programenrollment
        (external_user_key, program_uuid, curriculum_uuid, status, created, modified)
    SELECT 'key-' || n, md5((n %% 50)::text)::uuid, md5('')::uuid, 'enrolled', now(), now()
    FROM generate_series(1, %(total)s) n
"""
"""Enrollments of 50 programs, which the upload form lists."""
SLICES = """
    INSERT INTO worker_jobslice (job_id, number, total, first, last, counts, attempts, touched, finished)
    SELECT %(job)s, n, %(slice)s, n * %(slice)s, (n + 1) * %(slice)s - 1,
        jsonb_build_object('linked', %(slice)s - %(slice)s / 100, 'no_user', %(slice)s / 100), 0, now(), now()
    FROM generate_series(0, %(total)s / %(slice)s - 1) n
"""


def main() -> None:
    """Measure all pages and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("learners", type=int, nargs="?", default=1_000_000, help="learners, in thousands")
    total = parser.parse_args().learners // SLICE * SLICE
    with ExitStack() as stack:
        os.environ |= {"ALLOWED_HOSTS": "testserver", "TLS_PROXY": "0"}
        server_url, _ = start_servers(stack)
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE bench")
        _measure(total)


def _measure(total: int) -> None:
    from django.contrib.auth import get_user_model  # noqa: PLC0415 - models need Django to be set up
    from django.core.management import call_command  # noqa: PLC0415
    from django.db import connection  # noqa: PLC0415
    from django.test import Client  # noqa: PLC0415
    from django.utils import timezone  # noqa: PLC0415

    from worker.models import LinkingJob  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    now = timezone.now()
    counts = {"linked": total - total // 50, "relinked": total // 100, "no_user": total // 100}
    job = LinkingJob.objects.create(
        program_uuid=uuid4(), state="done", total=total, counts=counts, started=now, finished=now, notified=now
    )
    with connection.cursor() as cursor:
        for sql in (USERS, ENROLLMENTS, LEARNERS, SLICES):
            cursor.execute(sql, {"job": job.pk, "total": total, "slice": SLICE})
        cursor.execute("VACUUM ANALYZE")
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("operator"))
    pages = f"/admin/worker/linkingjob/{job.pk}"
    calls: dict[str, Callable[[], Any]] = {
        "jobs": lambda: client.get("/admin/worker/linkingjob/"),
        "the job": lambda: client.get(f"{pages}/change/"),
        "its progress, as JSON": lambda: client.get(f"{pages}/progress/"),
        "learners, first page": lambda: client.get(f"{pages}/learners/"),
        "learners from the middle": lambda: client.post(f"{pages}/learners/", {"after": total // 2}),
        "learners by outcome": lambda: client.post(f"{pages}/learners/", {"outcome": "no_user"}),
        "learners that failed": lambda: client.post(f"{pages}/learners/", {"outcome": "failures"}),
        "learners whose enrollment changes hands": lambda: client.post(
            f"{pages}/learners/", {"outcome": "changes_hands"}
        ),
        "learners with warnings: none": lambda: client.post(f"{pages}/learners/", {"outcome": "warnings"}),
        "the upload form": lambda: client.get("/admin/worker/linkingjob/upload/"),
        "learners by an outcome without learners": lambda: client.post(f"{pages}/learners/", {"outcome": "conflict"}),
        "learners by key: the last one": lambda: client.post(f"{pages}/learners/", {"text": f"key-{total - 1:07}"}),
        "learners by key: no match": lambda: client.post(f"{pages}/learners/", {"text": "no-such-key"}),
        "the whole report": lambda: client.get(f"{pages}/report/").getvalue(),
    }
    table = Table("page", "statements", "milliseconds", title=f"A job of {total:,} learners")
    for name, call in calls.items():
        statements: list[str] = []

        def note(execute: "Callable[..., Any]", sql: str, *rest: Any, seen: list[str] = statements) -> Any:
            seen.append(sql)
            return execute(sql, *rest)

        with connection.execute_wrapper(note):
            call()
        seconds = []
        for _ in range(CALLS if "report" not in name else 1):
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
        table.add_row(name, f"{len(statements)}", f"{statistics.median(seconds) * 1000:,.0f}")
    Console(highlight=False).print(table)


if __name__ == "__main__":
    main()
