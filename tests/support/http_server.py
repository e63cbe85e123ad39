"""A real web server and clients of its API."""

import json
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import Any
from urllib.error import HTTPError

from devservers import WebServer
from tests.support.ids import PROGRAM
from tests.support.waiting import wait_until


class ApiServer(WebServer):
    """The web server as in production, requested with a token."""

    def __init__(self, env: Mapping[str, str], token: str) -> None:
        super().__init__(dict(env))
        self.token = token

    def request(self, path: str, body: Any = None, **headers: str) -> tuple[int, Message, Any]:
        """Return status, headers and JSON of the response; with a body, post it."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"} | headers
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)  # noqa: S310 - our own address
        try:
            with self._client.open(request, timeout=60) as response:
                return response.status, response.headers, json.load(response)
        except HTTPError as error:
            return error.code, error.headers, json.load(error)

    def submit(self, mapping: Mapping[str, Any], **options: Any) -> tuple[int, Message, Any]:
        """Submit a mapping."""
        return self.request(
            "/api/jobs", {"program_uuid": str(PROGRAM), "external_keys_to_usernames": mapping, **options}
        )

    def wait_for(self, path: str) -> Any:
        """Return the job at a path when it has ended."""
        job: Any = {}

        def has_ended() -> bool:
            nonlocal job
            job = self.request(path)[2]
            return bool(job["ended"])

        wait_until(has_ended, f"{path} ends", interval=0.2)
        return job
