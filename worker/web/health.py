"""Health checks for container engines, load balancers and Prometheus.

``/healthz`` succeeds while the process responds; it does not check the database, since a restart of the process would
not help. ``/readyz`` succeeds while database and broker respond; a load balancer sends requests elsewhere meanwhile.
Failures are logged by the class of the error: its message may hold credentials.
"""

import logging
from collections.abc import Callable
from copy import deepcopy

from django.db import connections
from django.http import HttpRequest, HttpResponse, JsonResponse

from linking.bulk import dialect
from worker.celery.application import check_broker
from worker.web.metrics import metrics

log = logging.getLogger(__name__)


def probe_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Respond to health checks and scrapes before any other middleware; pass on other requests."""
    probes = {"/healthz": _healthz, "/readyz": _readyz, "/metrics": metrics}
    return lambda request: probes.get(request.path_info, get_response)(request)


def _healthz(_: HttpRequest) -> HttpResponse:
    return JsonResponse({"process": "ok"})


def _readyz(_: HttpRequest) -> HttpResponse:
    results = {}
    for name, check in {"database": _check_database, "broker": check_broker}.items():
        try:
            check()
            results[name] = "ok"
        except Exception as error:  # noqa: BLE001 - whatever the cause
            log.warning("not ready: the %s does not answer (%s)", name, type(error).__name__)
            results[name] = "no answer"
    status = 503 if "no answer" in results.values() else 200
    return JsonResponse(results, status=status, headers={"Cache-Control": "no-store"})


def _check_database() -> None:
    """Query the database on a new connection: an existing one to a frozen server would block without a time limit."""
    connection = connections.create_connection("default")
    connection.settings_dict = deepcopy(connection.settings_dict)
    connection.settings_dict["OPTIONS"] |= dialect(connection).probe_options
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()
