"""The operations of the API: submit a job, read a job."""

import logging
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID, uuid4

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import NinjaAPI, Query
from ninja.responses import Status

from linking.bulk import error_name
from worker import dispatch, jobs
from worker.api_tokens.models import ApiToken
from worker.celery.application import check_broker
from worker.exceptions import IdempotencyConflictError, JobRefusedError
from worker.jobs.request import LinkRequest, parse_link_request
from worker.logs import log_job_ended
from worker.models import JobQuerySet, LinkingJob
from worker.web.api.authentication import TokenAuth
from worker.web.api.bodies import bounded_memory, read_json_object
from worker.web.api.problems import MEDIA_TYPE, Problem, ProblemError, handle_exceptions
from worker.web.api.schemas import Job, JobWithErrors, shared_schemas, submission_schema

log = logging.getLogger(__name__)

PAGE, MAX_PAGE = 100, 1_000
"""Errors on a page: by default, and at most."""
MAX_ENTRY = 2**31 - 1


class JobsAPI(NinjaAPI):
    """An API whose description has the schema of a submission, and errors as problems."""

    def get_openapi_schema(self, **options: Any) -> Any:
        """Return the description."""
        description = super().get_openapi_schema(**options)
        description["components"]["schemas"] |= shared_schemas()
        for operation in (one for path in description["paths"].values() for one in path.values()):
            for status, response in operation["responses"].items():
                if status >= HTTPStatus.BAD_REQUEST:
                    response["content"] = {MEDIA_TYPE: response["content"]["application/json"]}
            if operation["operationId"] == "submit_job":
                schema = {"application/json": {"schema": submission_schema()}}
                operation["requestBody"] = {"required": True, "content": schema}
        return description


api = JobsAPI(
    title="Program linking",
    version="1",
    description="Jobs that link the learners of a program to their LMS accounts.",
    docs_url=None,  # A page of documentation would load scripts.
    urls_namespace="api",
)
handle_exceptions(api)


def _problems(*statuses: int) -> dict[int, type[Problem]]:
    return dict.fromkeys(statuses, Problem)


LOCATION = {"Location": {"description": "Path of the job.", "schema": {"type": "string"}}}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The argument idempotency_key. Submissions with the same key are one job.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}


@api.post(
    "/jobs",
    auth=TokenAuth("submit"),
    response={202: Job, **_problems(400, 401, 403, 409, 411, 413, 415, 429, 503)},
    operation_id="submit_job",
    summary="Submit a job",
    description="Needs the scope submit. The job is in the ledger: its state may be refused.",
    openapi_extra={"parameters": [IDEMPOTENCY_KEY], "responses": {202: {"headers": LOCATION}}},
)
def submit_job(request: HttpRequest, response: HttpResponse) -> Status[dict[str, Any]]:
    """Write a job into the ledger and send it."""
    token = _token_of(request)
    with bounded_memory(request):
        requested = _read_submission(request)
        if token.programs and str(requested.program_uuid) not in token.programs:
            msg = f"token {token.name} is not for this program."
            raise ProblemError(HTTPStatus.FORBIDDEN, msg)
        job = _submit(requested, token)
    response.headers["Location"] = _path_of(job)
    return Status(HTTPStatus.ACCEPTED, _describe(job))


@api.get(
    "/jobs/{job_id}",
    auth=TokenAuth("read"),
    response={200: JobWithErrors, **_problems(400, 401, 403, 404, 429, 503)},
    operation_id="read_job",
    summary="Read a job and a page of its errors",
    description="Needs the scope read.",
)
def read_job(
    request: HttpRequest,
    job_id: UUID,
    after: Annotated[int, Query(ge=0, le=MAX_ENTRY, description="Errors after this entry of the mapping.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Errors on a page.")] = PAGE,
) -> dict[str, Any]:
    """Return a job and the errors of entries after ``after``, at most ``limit``."""
    job = _visible_to(_token_of(request)).filter(pk=job_id).first()
    if job is None:
        msg = "there is no such job."
        raise ProblemError(HTTPStatus.NOT_FOUND, msg)
    description = _describe(job)
    page = jobs.find_errors(job, description["counts"], first=after, limit=limit)
    errors = [
        {"entry": position + 1, "external_user_key": key, "outcome": outcome, "message": message}
        for position, key, outcome, message in page.errors
    ]
    following = f"{_path_of(job)}?after={errors[-1]['entry']}&limit={limit}" if page.has_more else None
    return {**description, "errors": errors, "next": following}


def _read_submission(request: HttpRequest) -> LinkRequest:
    """Return the request for a job in a body and the header Idempotency-Key.

    Raises:
        ProblemError: it is invalid; the texts are those of the message.
    """
    arguments = read_json_object(request)
    if "idempotency_key" in arguments:
        msg = "idempotency_key is not in the body here: send it as the header Idempotency-Key."
        raise ProblemError(HTTPStatus.BAD_REQUEST, msg)
    key = request.headers.get("Idempotency-Key")
    if key is not None:
        if not (key.isascii() and key.isprintable()):
            msg = "the header Idempotency-Key has characters other than printable ones of ASCII: use another key."
            raise ProblemError(HTTPStatus.BAD_REQUEST, msg)
        arguments["idempotency_key"] = key
    try:
        return parse_link_request((), arguments)
    except ValueError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, str(error)) from None


def _submit(requested: LinkRequest, token: ApiToken) -> LinkingJob:
    """Return the job of a request: a new one, which is sent, or the one that has its idempotency key.

    A job that cannot be sent is in the ledger, and recovery sends it.

    Raises:
        ProblemError: the key belongs to another request.
    """
    job_id = uuid4()
    try:
        job = jobs.submit(job_id, requested, source=f"HTTP: {token.name}")
    except IdempotencyConflictError as error:
        # The text has the id of the other job.
        raise ProblemError(HTTPStatus.CONFLICT, str(IdempotencyConflictError() if token.programs else error)) from None
    except JobRefusedError:
        key = requested.idempotency_key
        job = LinkingJob.objects.get(**({"idempotency_key": key} if key else {"pk": job_id}))
    if job.pk == job_id:
        log.info("job %s was submitted over HTTP by token %s", job.pk, token.name)
        if job.is_final:
            log_job_ended(job)
        try:
            check_broker()  # With a time limit: a publisher waits for a frozen broker.
            dispatch.dispatch_all([job])
        except Exception as error:  # noqa: BLE001 - whatever the cause: the ledger has the job
            log.warning("job %s could not be sent (%s); recovery sends it later", job.pk, error_name(error))
    return job


def _visible_to(token: ApiToken) -> JobQuerySet:
    return LinkingJob.objects.filter(program_uuid__in=token.programs) if token.programs else LinkingJob.objects.all()


def _describe(job: LinkingJob) -> dict[str, Any]:
    """Return a job as JSON has it, without its errors."""
    names = ("program_uuid", "kind", "state", "message", "options", "idempotency_key", "total")
    times = ("created", "started", "finished", "purged")
    columns = {name: getattr(job, name) for name in (*names, *times)}
    return {"id": job.pk, **columns, "ended": job.notified is not None, "counts": jobs.progress_of(job).counts}


def _path_of(job: LinkingJob) -> str:
    return reverse("api:read_job", args=[job.pk])


def _token_of(request: HttpRequest) -> ApiToken:
    token: ApiToken = request.auth  # type: ignore[attr-defined] # ninja puts there what authentication returns
    return token
