"""A service with a result backend of its own, which makes our task a part of its chords, groups and chains."""

import json
from typing import Any

from tests.support.bare_service import BareService
from tests.support.waiting import wait_until

SOURCE = """
import json, os, sys
from celery import Celery, chain, chord, group

if os.environ["BACKEND"] == "django-db":
    import django, environ
    from django.conf import settings

    database = environ.Env().db_url("DATABASE_URL")
    settings.configure(INSTALLED_APPS=["django_celery_results"], DATABASES={"default": database}, USE_TZ=True)
    django.setup()

app = Celery("service", broker=os.environ["BROKER"], backend=os.environ["BACKEND"])
app.conf.update(task_default_queue="the-service", worker_hijack_root_logger=False, result_extended=False)
app.conf.event_exchange = "linking.celeryev"  # Flower shows its tasks, too.


def note(task, kind, *args):
    line = [kind, *args, task.request.id, task.request.root_id, task.request.parent_id]
    with open("calls", "a") as file:
        file.write(json.dumps(line) + "\\n")


@app.task(name="service.receive", bind=True)
def receive(self, *args):
    note(self, "received", *args)
    return len(args)


@app.task(name="service.fail", bind=True)
def fail(self, task_id):
    note(self, "failed", task_id)


def link(program, mapping, **options):
    signature = app.signature("linking.link_program_enrollments", (program, mapping), immutable=True)
    return signature.set(queue="linking", **options)


def ours(task, *args, **options):
    return task.signature(args, **options).set(queue="the-service")


program, mapping = json.loads(sys.argv[2]) if sys.argv[1:2] == ["send"] else (None, None)
body = ours(receive, "body").set(link_error=[ours(fail)])
part, after, last = ours(receive, "part", immutable=True), ours(receive, "after"), ours(receive, "last")
CANVASES = {
    "chord": lambda: chord([link(program, mapping), link(program, {})], body),
    "mixed chord": lambda: chord([link(program, mapping), part], body),
    "failing chord": lambda: chord([link("nonsense", mapping), part], body),
    "chord of chains": lambda: chord([link(program, mapping) | after, part], body),
    "failing chord of chains": lambda: chord([link("nonsense", mapping) | after, part], body),
    "group": lambda: group([link(program, mapping, link=[after]), link(program, {}, link=[last])]),
    "chain": lambda: part | link(program, mapping, link=[after]) | last,
    "failing chain": lambda: part | link("nonsense", mapping, link_error=[ours(fail)]) | last,
}

if __name__ == "__main__":
    result = CANVASES[sys.argv[3]]().apply_async()
    parents = []
    while result is not None:
        parents.append(result.id)
        parts = [part.id for part in getattr(result, "results", None) or []]
        parents += parts
        result = result.parent
    print(json.dumps(parents))
"""
WORKER = ("--pool", "solo", "--queues", "the-service", "--without-mingle", "--without-gossip", "--task-events")


class CanvasService:
    """A service whose worker notes the calls of its tasks, and sends events."""

    def __init__(self, service: BareService, backend: str, database_url: str) -> None:
        self._service = service
        service.env |= {"BACKEND": backend, "DATABASE_URL": database_url}
        service.write(SOURCE)
        service.start("-m", "celery", "-A", "service", "worker", *WORKER)

    def send(self, canvas: str, program: str, mapping: dict[str, str]) -> list[str]:
        """Send a canvas by its name; return the ids of its results, the last one first."""
        printed = self._service.run("service.py", "send", json.dumps([program, mapping]), canvas)
        ids: list[str] = json.loads(printed.splitlines()[0])  # redis-py may complain at exit.
        return ids

    def calls(self) -> list[list[Any]]:
        """Return the calls of the service's tasks: kind, arguments, task id, root id and parent id."""
        path = self._service.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for_call(self, *call: Any) -> list[Any]:
        """Wait for a call of a kind and with arguments; return its task id, root id and parent id."""

        def found() -> list[list[Any]]:
            return [one[-3:] for one in self.calls() if one[:-3] == [*call]]

        wait_until(
            lambda: bool(found()), f"the service's task {call[0]}{call[1:]} is called; calls: {self.calls()}", 30
        )
        return found()[0]
