"""Flower beside a worker: its HTTP API works, and only the result of a job names a learner."""

import json
import os
import re
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from devservers import FlowerServer, WorkerProcess
from tests.support.broker import QUEUES
from tests.support.ids import PROGRAM
from tests.support.pages import program
from tests.support.programs import python, run
from tests.support.rows import enroll, make_user
from tests.support.secrecy import SECRET, assert_silent, captured_events, learners, many_learners, stored
from tests.support.service import LINK, Service, failure_of, result_of
from tests.support.visitors import page
from tests.support.waiting import wait_until
from worker.logs import HIDDEN
from worker.models import LinkingJob

SLICE, END = "linking.link_learners", "linking.finish_job"
TABLE = quote(
    "draw=1&start=0&length=1000&search[value]=&order[0][column]=0&columns[0][data]=name&order[0][dir]=asc", safe="=&"
)
"""The query of the table of tasks."""


def get_json(flower: FlowerServer, path: str, **body: Any) -> Any:
    """Return the JSON of a GET request; with ``body``, of a POST request."""
    return json.loads(flower.get(path, json.dumps(body).encode() if body else None))


def wait_for_state(flower: FlowerServer, task_id: str, state: str) -> None:

    def known() -> bool:
        tasks = get_json(flower, "/api/tasks")
        return task_id in tasks and bool(tasks[task_id]["state"] == state)

    wait_until(known, f"Flower knows that {task_id} is {state}")


def test_a_job_of_a_thousand_sent_and_followed_through_flower_names_no_learner_but_in_its_result(
    flower: FlowerServer, service: Service, celery_worker_process: WorkerProcess, worker_env: dict[str, str]
) -> None:
    before = len(celery_worker_process.log.read_text())
    mapping = many_learners(1_000)
    with captured_events(worker_env["CELERY_BROKER_URL"]) as events:
        sent = get_json(flower, f"/api/task/async-apply/{LINK}", args=[str(PROGRAM), mapping])
        answer = get_json(flower, f"/api/task/result/{sent['task-id']}?timeout=60")
        wait_for_state(flower, sent["task-id"], "SUCCESS")
        types = {"task-received", "task-started", "task-succeeded"}
        wait_until(
            lambda: types <= {event["type"] for event in events if event.get("uuid") == sent["task-id"]},
            "the events of the caller's task arrive",
        )
        service.broker.wait_until_quiet()

    job = LinkingJob.objects.get(pk=sent["task-id"])
    rare = ("relinked", "already_linked", "no_user", "course_error", "conflict")
    assert job.counts == {"linked": 984, "no_enrollment": 11} | dict.fromkeys(rare, 1)
    assert len(answer["result"]) == 15
    assert all(key.startswith(SECRET) for key in answer["result"])
    subtasks = {task_id for task_id, task in get_json(flower, "/api/tasks").items() if task["name"] == SLICE}
    assert len(subtasks) >= 4

    served = everything_served(flower, celery_worker_process.hostname, [sent["task-id"], *subtasks])
    assert LINK in "".join(served.values())
    for path, text in served.items():
        assert_silent(f"Flower at {path}", text)
    assert_silent("Flower's log", flower.log.read_text())
    assert_silent("an event", json.dumps(events))
    assert_silent("the worker's log", celery_worker_process.log.read_text()[before:])
    assert_silent("a stored result", stored(sent["task-id"]))


def everything_served(flower: FlowerServer, worker: str, task_ids: list[str]) -> dict[str, str]:
    """Return all that Flower serves, by path, but the results of jobs: its API, its pages, its metrics."""
    answered = {str(job) for job in LinkingJob.objects.filter(state="done").values_list("pk", flat=True)}
    get_json(flower, "/api/workers?refresh=1")
    paths = [
        *("/", "/workers", "/workers?json=1", f"/worker/{quote(worker)}", "/broker", "/tasks", "/metrics"),
        f"/tasks/datatable?{TABLE}",
        *("/api/workers", "/api/tasks", "/api/task/types", "/api/queues/length"),
        *(f"/{place}/{task_id}" for place in ("task", "api/task/info") for task_id in task_ids),
        *(f"/api/task/result/{task_id}" for task_id in task_ids if task_id not in answered),
    ]
    return {path: flower.get(path).decode() for path in paths}


def test_failures_name_no_learner(flower: FlowerServer, service: Service, celery_worker_process: WorkerProcess) -> None:
    before = len(celery_worker_process.log.read_text())
    mapping = learners()

    def send(*args: Any, **kwargs: Any) -> str:
        return str(get_json(flower, f"/api/task/async-apply/{LINK}", args=args, kwargs=kwargs)["task-id"])

    failing = [send("nonsense", mapping), send(mapping, str(PROGRAM)), send(str(PROGRAM), mapping, max_relinks=0)]
    failures = [failure_of(task_id)[0] for task_id in failing]
    for task_id in failing:
        wait_for_state(flower, task_id, "FAILURE")
    for body in (json.dumps({"args": mapping}), json.dumps({"args": [mapping], "eta": SECRET}), f'{{"{SECRET}": '):
        with pytest.raises(urllib.error.HTTPError, match=r"400|500"):
            flower.get(f"/api/task/async-apply/{LINK}", body.encode())

    assert failures == ["ValueError", "ValueError", "JobRefusedError"]
    for path, text in everything_served(flower, celery_worker_process.hostname, failing).items():
        assert_silent(f"Flower at {path}", text)
    assert_silent("Flower's log", flower.log.read_text())
    assert_silent("the worker's log", celery_worker_process.log.read_text()[before:])
    assert_silent("a stored result", stored(""))
    service.broker.wait_until_quiet()


def test_the_commands_of_the_contract_page_send_a_job_and_read_what_flower_knows(
    flower: FlowerServer, celery_worker_process: WorkerProcess
) -> None:
    make_user("ada")
    enroll("student-0001", program_uuid="5c8d9a52-1f0e-4c63-9a67-2b6f0d4e7a11")
    environment = {"PATH": os.environ["PATH"], "FLOWER": flower.url, "FLOWER_BASIC_AUTH": flower.basic_auth}

    process = run("/bin/bash", "-c", program("contract.md", "flower.sh"), env=environment)

    assert process.returncode == 0, process.stderr
    result, tasks, workers, queues = map(json.loads, process.stdout.splitlines())
    assert (result["state"], [*result["result"]]) == ("SUCCESS", ["student-0002"])
    assert result_of(result["task-id"]) == result["result"]
    assert {task["name"] for task in tasks.values()} <= {SLICE}
    assert LINK in workers[celery_worker_process.hostname]["registered"]
    lengths = {queue["name"]: queue["messages"] for queue in queues["active_queues"]}
    assert lengths == dict.fromkeys(QUEUES, 0)


def test_tasks_are_found_by_name_and_state(flower: FlowerServer, service: Service) -> None:
    linked, failed = service.link({}), service.send(LINK, "nonsense", {})
    wait_for_state(flower, linked, "SUCCESS")
    wait_for_state(flower, failed, "FAILURE")

    def found(task: str, state: str) -> set[str]:
        return set(get_json(flower, f"/api/tasks?taskname={task}&state={state}"))

    assert linked in found(END, "SUCCESS")  # The end of a job has the caller's task id.
    assert failed in found(LINK, "FAILURE")
    assert not {linked, failed} & (found(LINK, "STARTED") | found(END, "STARTED"))


def test_tasks_show_their_job_lead_to_its_page_and_hide_learners(flower: FlowerServer, service: Service) -> None:
    sent = service.link(learners())
    wait_for_state(flower, sent, "SUCCESS")
    address = f'href="http://localhost:8000{page("change", LinkingJob.objects.get())}">Page of the job</a>'

    def slices() -> list[str]:
        tasks = get_json(flower, f"/api/tasks?taskname={SLICE}")
        return [task_id for task_id, task in tasks.items() if sent in task["args"]]

    wait_until(lambda: bool(slices()), "Flower knows the slices")
    assert HIDDEN == "(hidden: it may name learners)"
    for task_id, shown in ((sent, f"job {sent} {HIDDEN}"), *((one, f"job {sent}, slice ") for one in slices())):
        text = flower.get(f"/task/{task_id}").decode()
        assert f"<code>{shown}" in text
        assert address in text
    assert f'"job {sent} {HIDDEN}"' in flower.get(f"/tasks/datatable?{TABLE}").decode()


def test_an_address_that_cannot_be_right_stops_flower(worker_env: dict[str, str]) -> None:
    env = os.environ | worker_env | {"FLOWER_BASIC_AUTH": "me:secret", "LINKING_WEB_URL": "links.example.org"}

    process = python("-m", "celery", "-A", "worker", "flower", "--port=0", env=env)

    assert process.returncode != 0
    assert "LINKING_WEB_URL='links.example.org' cannot be right: expected the address of the pages" in process.stderr


def test_metrics_show_how_long_slices_take(flower: FlowerServer, service: Service) -> None:
    sent = service.link(learners())
    wait_for_state(flower, sent, "SUCCESS")

    text = flower.get("/metrics").decode()

    assert re.search(
        rf'^flower_task_runtime_seconds_bucket{{le="20\.0",task="{SLICE}",worker=".*"}} \d+', text, re.MULTILINE
    )


def test_flower_needs_a_password_and_listens_locally(flower: FlowerServer) -> None:
    send = f"/api/task/async-apply/{LINK}"
    for path, body in [("/", None), ("/tasks", None), ("/api/tasks", None), ("/api/workers", None), (send, b"{}")]:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(flower.url + path, body, timeout=30)  # noqa: S310 - our own address

    listening = [one.laddr.ip for one in psutil.Process(flower.pid).net_connections() if one.status == "LISTEN"]
    assert listening == ["127.0.0.1"]


def test_without_a_password_flower_does_not_start(worker_env: dict[str, str]) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLOWER_")}

    process = python("-m", "celery", "-A", "worker", "flower", "--port=0", env=kept | worker_env)

    assert process.returncode != 0
    assert "FLOWER_BASIC_AUTH is not set: expected user:password" in process.stderr
