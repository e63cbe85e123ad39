"""The JSON of the API, and its description in OpenAPI."""

import json
from datetime import datetime
from importlib.resources import files
from typing import Any
from uuid import UUID

from django.conf import settings
from ninja import Schema
from pydantic import Field

from linking.bulk import Outcome
from worker.models import LinkingJob

_FILE = files("worker.jobs").joinpath("link_program_enrollments.schema.json")
_ARGUMENTS = _FILE.read_text("utf-8").replace("#/$defs/", "#/components/schemas/")
"""The schema of the message's arguments, with references as OpenAPI has them."""


class LearnerError(Schema):
    """A learner that was not linked."""

    entry: int = Field(description="Place in the mapping, from 1.")
    external_user_key: str
    outcome: Outcome
    message: str


class Job(Schema):
    """A job."""

    id: UUID
    program_uuid: UUID
    kind: LinkingJob.Kind
    state: LinkingJob.State = Field(description="The last four are final.")
    ended: bool = Field(description="Whether the job, its counts and its errors change no more.")
    message: str = Field(description="Why the job was refused, failed or cancelled.")
    options: dict[str, Any] = Field(
        description="dry_run, max_relinks and learners_per_subtask; skipped for imported files."
    )
    idempotency_key: str | None
    total: int = Field(description="Number of learners.")
    counts: dict[Outcome, int] = Field(description="Learners by outcome; those without an outcome are not counted.")
    created: datetime
    started: datetime | None
    finished: datetime | None
    purged: datetime | None = Field(description="When its errors were removed from the ledger; its counts stay.")


class JobWithErrors(Job):
    """A job and a page of its errors."""

    errors: list[LearnerError] = Field(description="In mapping order; all errors, page by page.")
    next: str | None = Field(description="Path of the next page of errors; null on the last page.")


def submission_schema() -> dict[str, Any]:
    """Return the schema of a submission: that of the message's arguments without the key, a header here."""
    schema: dict[str, Any] = json.loads(_ARGUMENTS)
    properties = schema["properties"]
    del properties["idempotency_key"]
    properties["external_keys_to_usernames"]["maxProperties"] = settings.LINKING_MAX_MAPPING
    required, closed = schema["required"], schema["additionalProperties"]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": closed}


def shared_schemas() -> dict[str, Any]:
    """Return the schemas that the schema of a submission refers to, by name."""
    definitions: dict[str, Any] = json.loads(_ARGUMENTS)["$defs"]
    return definitions
