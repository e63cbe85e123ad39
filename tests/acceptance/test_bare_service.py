"""A service without our code and without Django uses the broker and the names of the tasks."""

import json

from devservers import WorkerProcess
from tests.support.bare_service import BareService
from tests.support.ids import PROGRAM
from tests.support.rows import enroll, make_user
from tests.support.service import failure_of, result_of
from tests.support.stored import user_of
from tests.support.waiting import wait_until
from worker.models import LinkingJob

SOURCE = """
import importlib.util, json, os, sys
from celery import Celery

app = Celery("service", broker=os.environ["BROKER"])
app.conf.update(task_default_queue="the-service", worker_hijack_root_logger=False)


def note(*texts):
    with open("calls", "a") as file:
        print(*texts, file=file)


@app.task(name="service.receive")
def receive(*args):
    note("RECEIVED", json.dumps(args))


@app.task(name="service.fail")
def fail(task_id):
    note("FAILED", task_id)


def send(program, mapping):
    link = app.signature("service.receive", queue="the-service")
    link_error = app.signature("service.fail", queue="the-service")
    sent = app.send_task(
        "linking.link_program_enrollments", (program, mapping), queue="linking", link=link, link_error=link_error
    )
    return sent.id


if __name__ == "__main__":
    ids = [send(*request) for request in json.loads(sys.argv[1])]
    ours = [name for name in ("worker", "linking", "celeryconfig") if importlib.util.find_spec(name)]
    print(json.dumps({"ids": ids, "ours": ours, "django": "django.db" in sys.modules}))
"""


def test_it_enqueues_by_name_and_its_own_task_gets_the_error_dictionary_or_the_failure(
    celery_worker_process: WorkerProcess, bare_service: BareService
) -> None:
    assert celery_worker_process.is_running
    make_user("ada")
    enrollment = enroll("s-1")
    bare_service.write(SOURCE)
    requests = [(str(PROGRAM), {"s-1": "ada", "s-2": "nobody"}), ("nonsense", {"s-1": "ada"})]

    printed = json.loads(bare_service.run("service.py", json.dumps(requests)))
    options = ("--pool", "solo", "--queues", "the-service", "--without-mingle", "--without-gossip")
    bare_service.start("-m", "celery", "-A", "service", "worker", *options)

    assert (printed["ours"], printed["django"]) == ([], False)
    linked, refused = printed["ids"]
    errors = {"s-2": "No user found with username nobody"}
    expected = [f"FAILED {refused}", f"RECEIVED {json.dumps([errors])}"]
    calls = bare_service.folder / "calls"
    wait_until(lambda: calls.exists() and len(calls.read_text().splitlines()) == 2, "both callbacks are called")
    assert sorted(calls.read_text().splitlines()) == expected
    assert result_of(linked) == errors
    assert failure_of(refused)[0] == "ValueError"
    assert user_of(enrollment) == "ada"
    assert [str(job.pk) for job in LinkingJob.objects.all()] == [linked]
