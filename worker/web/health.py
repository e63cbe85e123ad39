"""Answers to those who watch over the pages' server: a container engine, a load balancer, Prometheus.

``/healthz`` tells that the process is alive, and looks at nothing else: whoever restarts what is not alive must not
restart it because the database is away. ``/readyz`` tells whether database and broker both answer; a balancer sends
visitors elsewhere meanwhile. What failed goes to the log by the name of its error alone: its text may hold credentials.
"""

import logging
from collections.abc import Callable
from copy import deepcopy

from django.db import connections
from django.http import HttpRequest, HttpResponse, JsonResponse

from worker.celery.application import check_broker
from worker.web.metrics import metrics

log = logging.getLogger(__name__)

PATIENCE = 2
"""Seconds that database and broker get, each."""

Answer = Callable[[HttpRequest], HttpResponse]


def answer_probes(get_response: Answer) -> Answer:
    """Return the middleware that answers the probes and hands on all else."""

    def answer(request: HttpRequest) -> HttpResponse:
        match request.path_info:
            case "/healthz":
                return JsonResponse({"process": "ok"})
            case "/readyz":
                return _readiness()
            case "/metrics":
                return metrics(request)
        return get_response(request)

    return answer


def _readiness() -> HttpResponse:
    parts = {"database": _ask_database, "broker": check_broker}
    told = {name: _ask(name, ask) for name, ask in parts.items()}
    ready = all(word == "ok" for word in told.values())
    return JsonResponse(told, status=200 if ready else 503, headers={"Cache-Control": "no-store"})


def _ask(name: str, ask: Callable[[], None]) -> str:
    try:
        ask()
    except Exception as error:  # noqa: BLE001 - whatever keeps it from answering
        log.warning("not ready: the %s does not answer (%s)", name, type(error).__name__)
        return "no answer"
    return "ok"


def _ask_database() -> None:
    """Connect anew: a connection that is open already could wait for a server that froze, without end."""
    connection = connections.create_connection("default")
    connection.settings_dict = deepcopy(connection.settings_dict)
    if connection.vendor == "postgresql":
        connection.settings_dict["OPTIONS"]["connect_timeout"] = PATIENCE
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()
