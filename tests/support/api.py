"""Clients of the HTTP API without a server."""

import json
from typing import Any
from uuid import uuid4

from django.test import Client

from tests.support.ids import PROGRAM
from tests.support.visitors import BY_TLS
from worker.api_tokens.access import issue
from worker.api_tokens.models import ApiToken

JOBS = "/api/jobs"


def make_token(*scopes: str, **fields: Any) -> str:
    """Make a token with these scopes, by default all; return its secret."""
    scopes = scopes or ("submit", "read")
    token = ApiToken(name=fields.pop("name", uuid4().hex), **{f"can_{scope}": True for scope in scopes}, **fields)
    return issue(token)


class ApiClient:
    """A client with a token, by default one that may do everything."""

    def __init__(self, secret: str | None = None) -> None:
        self.secret = make_token() if secret is None else secret
        self.client = Client(headers={**BY_TLS, "Authorization": f"Bearer {self.secret}"})

    def get(self, path: str, **options: Any) -> Any:
        """Return the response to a GET request."""
        return self.client.get(path, **options)

    def submit(self, mapping: Any, program: Any = PROGRAM, key: str | None = None, **options: Any) -> Any:
        """Submit a mapping; ``key`` is the header Idempotency-Key."""
        body = {"program_uuid": str(program), "external_keys_to_usernames": mapping, **options}
        return self.post(json.dumps(body), headers={} if key is None else {"Idempotency-Key": key})

    def post(self, body: str | bytes, content_type: str = "application/json", **options: Any) -> Any:
        """Post a body."""
        return self.client.post(JOBS, body, content_type=content_type, **options)


def problem_of(response: Any) -> tuple[int, str]:
    """Return status and detail of an error, in the one form that errors have."""
    assert response["Content-Type"] == "application/problem+json", response.content
    assert response["Cache-Control"] == "no-store"
    content = response.json()
    assert set(content) == {"title", "status", "detail"}
    assert content["status"] == response.status_code
    return response.status_code, content["detail"]
