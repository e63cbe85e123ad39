"""Errors of the API: each is a problem (RFC 9457) with title, status and detail."""

import logging
import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from traceback import format_tb

from django.db import Error as DatabaseFault
from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI, Schema
from ninja.errors import ValidationError
from pydantic import Field

from linking.bulk import error_name, is_limit, is_lock_timeout, is_transient
from worker.exceptions import LockedError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
MAX_DETAIL = 2_000
"""Characters of a detail, at most: texts show values of the request."""
RETRY_AFTER = 30
"""Seconds after which to repeat a request that the database could not serve: as long as a task waits at most."""
AWAY = "the database does not answer: repeat the request later, a submission with its Idempotency-Key."
PREFIX = "/api/"
"""The beginning of the API's paths."""


class Problem(Schema):
    """An error."""

    title: str = Field(description="The meaning of the status.")
    status: int = Field(description="The status of the response.")
    detail: str = Field(description="The fault and its remedy.")


class ProblemError(Exception):
    """A request that cannot be served."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return the response for an error."""
    content = Problem(title=status.phrase, status=status.value, detail=detail[:MAX_DETAIL])
    return JsonResponse(content.model_dump(), status=status, content_type=MEDIA_TYPE, headers=headers)


def retry_after(seconds: float) -> dict[str, str]:
    """Return the header that says when to repeat a request."""
    return {"Retry-After": str(math.ceil(seconds))}


def handle_exceptions(api: NinjaAPI) -> None:
    """Make problems of the exceptions that the operations of an API raise."""
    handlers = {
        ProblemError: lambda _, error: problem(error.status, str(error), error.headers),
        ValidationError: lambda _, error: _invalid(error),
        DatabaseFault: lambda _, error: _database_failed(error),
        Exception: lambda _, error: _failed(error),
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def _invalid(error: ValidationError) -> HttpResponse:
    """Refuse parameters of a path or a query; a path that no job can have is that of no job."""
    if any(fault["loc"][0] == "path" for fault in error.errors):
        return problem(HTTPStatus.NOT_FOUND, "there is no such job.")
    return problem(HTTPStatus.BAD_REQUEST, "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors))


def _database_failed(error: DatabaseFault) -> HttpResponse:
    if is_transient(error) or is_limit(error):
        log.warning("a request to the API was not served: %s", error_name(error))
        detail = str(LockedError()) if is_lock_timeout(error) else AWAY
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, retry_after(RETRY_AFTER))
    return _failed(error)


def _failed(error: Exception) -> HttpResponse:
    """Log an unexpected error without its text, which may quote rows or the request."""
    log.error("a request to the API failed: %s\n%s", error_name(error), "".join(format_tb(error.__traceback__)))
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected error; the server's log has where it occurred.")


def problem_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Make problems of Django's own error pages below PREFIX, and let no cache keep a response of the API."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if not request.path_info.startswith(PREFIX):
            return response
        if response.status_code >= HTTPStatus.BAD_REQUEST and response.headers.get("Content-Type") != MEDIA_TYPE:
            kept = {name: response.headers[name] for name in ("Allow", "Retry-After") if name in response.headers}
            status = HTTPStatus(response.status_code)
            response = problem(status, f"{status.description or status.phrase}.", kept)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return middleware
