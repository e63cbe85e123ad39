"""Flower's settings and their reasons. Flower reads this file from its working directory; the names are Flower's own.

A setting here overrides the environment variable ``FLOWER_…``; a command-line option overrides both.
"""

import os
import re
from pathlib import Path
from typing import Any

from flower.urls import settings
from tornado.options import options
from tornado.template import Loader, Template

from worker.logs import HIDDEN

if not (options.basic_auth or options.auth):
    msg = "FLOWER_BASIC_AUTH is not set: expected user:password,user:password,… Flower's users can send tasks."
    raise SystemExit(msg)

address = os.environ.get("FLOWER_ADDRESS", "127.0.0.1")  # Remote access goes through a proxy with TLS.
persistent = False  # Flower forgets tasks when it stops; the ledger keeps them.
max_tasks = 10_000  # Tasks in memory, about 2 KB each.
purge_offline_workers = 3600  # Seconds. In a container, a restarted worker has a new name.
tasks_columns = "name,args,uuid,state,received,started,runtime,worker,retries"  # args: see format_task. No results.
# Seconds. A slice yields its process after 20 and is killed after 80 (celeryconfig.py).
task_runtime_metric_buckets = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0]


JOB_TASKS = {"linking.link_program_enrollments", "linking.undo_job", "linking.finish_job"}
"""Tasks whose id is that of a job; the arguments of slices name it."""
SLICE_ARGS = re.compile(r"\('([0-9a-f-]{36})', (\d+)\)")


def format_task(task: Any) -> Any:
    """Show the job of a task in place of its arguments; hide the rest, in case a worker's events contain it."""
    of_slice = SLICE_ARGS.fullmatch(str(task.args)) if task.name == "linking.link_learners" else None
    if of_slice:
        task.args = "job {}, slice {}".format(*of_slice.groups())
    else:
        task.args = f"job {task.uuid} {HIDDEN}" if task.name in JOB_TASKS else HIDDEN
    task.kwargs = HIDDEN
    task.result = None if task.result is None else HIDDEN
    return task


# --- A link to the job on the page of a task: Flower has no setting for it ------------------------------------------
WEB = os.environ.get("LINKING_WEB_URL", "http://localhost:8000").rstrip("/")
if not re.fullmatch(r"https?://[^\s\"'<>]+", WEB):
    msg = f"LINKING_WEB_URL={WEB!r} cannot be right: expected the address of the pages, such as https://links.example.org."
    raise SystemExit(msg)
PLACE = b'<div class="detail-actions">'
LINK = b'{% if job_page(task) %}<a class="btn btn-primary" href="{{ job_page(task) }}">Page of the job</a>{% end %}'


def job_page(_: object, task: Any) -> str:
    """Return the address of the page of a formatted task's job, or an empty text."""
    found = re.match(r"job ([0-9a-f-]{36})", str(task.args))
    return f"{WEB}/admin/worker/linkingjob/{found[1]}/change/" if found else ""


class TemplateLoader(Loader):
    """Flower's templates, with a link to the job on the page of a task."""

    def _create_template(self, name: str) -> Template:
        text = (Path(self.root) / name).read_bytes()
        if name == "task.html":
            text = text.replace(PLACE, PLACE + LINK, 1)
        return Template(text, name=name, loader=self)


settings["template_loader"] = TemplateLoader(settings["template_path"])
settings["ui_methods"] = {"job_page": job_page}
