"""The API's description in OpenAPI, and the contract page, say the same."""

import json
import re
from typing import Any

import pytest
from django.test import Client

from tests.support.pages import blocks, table
from tests.support.visitors import BY_TLS

PAGE = "contract.md"


@pytest.fixture
def description() -> dict[str, Any]:
    """The description, which needs no token."""
    response = Client(headers=BY_TLS).get("/api/openapi.json")
    assert response.status_code == 200
    content: dict[str, Any] = response.json()
    return content


def test_the_page_has_the_statuses_and_fields_of_the_description(description: dict[str, Any]) -> None:
    operations = [operation for path in description["paths"].values() for operation in path.values()]
    statuses = {status for operation in operations for status in operation["responses"] if int(status) >= 400}
    fields = set(description["components"]["schemas"]["JobWithErrors"]["properties"])
    (problem,) = blocks(PAGE, "json", "Errors")

    assert {row[0] for row in table(PAGE, "Errors")} == statuses
    assert {name for row in table(PAGE, "Fields of a job") for name in re.findall(r"`(\w+)`", row[0])} == fields
    assert set(json.loads(problem)) == set(description["components"]["schemas"]["Problem"]["properties"])


def test_the_description_is_complete_and_refers_to_nothing_outside(description: dict[str, Any]) -> None:
    text = json.dumps(description)
    references = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', text))

    assert references <= set(description["components"]["schemas"])
    assert text.count('"$ref"') == len(re.findall(r'"\$ref": "#/components', text))
    assert "http://" not in text
    assert "https://" not in text
    assert description["components"]["securitySchemes"] == {"TokenAuth": {"type": "http", "scheme": "bearer"}}
    for path in description["paths"].values():
        for operation in path.values():
            assert operation["security"] == [{"TokenAuth": []}]
    submission = description["paths"]["/api/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert submission["properties"]["external_keys_to_usernames"]["maxProperties"] == 100_000
    assert "idempotency_key" not in submission["properties"]


def test_there_is_no_page_that_loads_scripts() -> None:
    client = Client(headers=BY_TLS)

    assert client.get("/api/docs").status_code == 404
    assert "default-src 'self'" in client.get("/api/openapi.json")["Content-Security-Policy"]
