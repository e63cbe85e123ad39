"""Tokens are created and revoked by a command and in the admin."""

import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.support.api import JOBS, ApiClient, make_token
from tests.support.ids import PROGRAM
from tests.support.jobs import submit
from tests.support.visitors import RUN, VIEW, superuser, visitor
from worker.api_tokens.access import find_token
from worker.api_tokens.models import ApiToken

ADD = "/admin/api_tokens/apitoken/add/"
LIST = "/admin/api_tokens/apitoken/"
FIELDS = {"name": "sis", "can_read": "on", "programs": "[]", "requests_per_minute": "60"}


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    call_command("api_tokens", *arguments)
    return capsys.readouterr().out.strip()


def test_a_command_creates_lists_and_revokes_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    job = submit({"s-1": "ada"})
    options = ("--scope", "read", "--days", "30", "--program", PROGRAM.hex, "--per-minute", "60")

    secret = command(capsys, "create", "sis", *options)
    client = ApiClient(secret)

    assert client.get(f"{JOBS}/{job.pk}").status_code == 200
    assert client.submit({}).status_code == 403
    token = ApiToken.objects.get()
    assert (token.programs, token.requests_per_minute, token.scopes) == ([str(PROGRAM)], 60, ("read",))
    listed = command(capsys, "list")
    assert re.fullmatch(r"sis: valid, read, 1 programs, expires [\d-]{10}, last used [\d-]{10} [\d:]{5}", listed)
    assert secret not in listed
    command(capsys, "revoke", "sis")
    assert client.get(f"{JOBS}/{job.pk}").status_code == 401
    assert command(capsys, "list").startswith("sis: revoked, ")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("create", "sis", "--scope", "read"), "choose another"),
        (("create", "s" * 101, "--scope", "read"), "choose another"),
        (("create", "new"), "required: --scope"),
        (("create", "new", "--scope", "admin"), "invalid choice"),
        (("create", "new", "--scope", "read", "--days", "0"), "invalid"),
        (("create", "new", "--scope", "read", "--per-minute", "0"), "invalid"),
        (("create", "new", "--scope", "read", "--program", "x"), "invalid"),
        (("revoke", "other"), "no token other"),
    ],
)
def test_an_impossible_command_is_refused(arguments: tuple[str, ...], text: str) -> None:
    make_token(name="sis")

    with pytest.raises(CommandError, match=text):
        call_command("api_tokens", *arguments)

    assert ApiToken.objects.count() == 1


def test_the_admin_creates_a_token_and_shows_its_secret_once() -> None:
    client = superuser()

    shown = client.post(ADD, FIELDS | {"programs": f'["{PROGRAM.hex}"]'})

    assert shown.status_code == 200
    assert "no-store" in shown["Cache-Control"]
    (secret,) = re.findall(r'<pre id="secret">(.+)</pre>', shown.content.decode())
    token = find_token(secret)
    assert token
    assert (token.name, token.scopes, token.programs) == ("sis", ("read",), [str(PROGRAM)])
    for path in (LIST, f"{LIST}{token.pk}/change/", f"{LIST}{token.pk}/history/", "/admin/"):
        content = client.get(path).content.decode()
        assert secret not in content
        assert token.digest not in content


def test_the_admin_revokes_tokens_and_changes_nothing_else() -> None:
    client = superuser()
    token = find_token(make_token("read", name="sis"))
    assert token

    client.post(f"{LIST}{token.pk}/change/", FIELDS | {"can_submit": "on", "name": "other"})
    token.refresh_from_db()
    assert (token.name, token.scopes, token.state) == ("sis", ("read",), "valid")
    assert client.post(f"{LIST}{token.pk}/delete/", {"post": "yes"}).status_code == 403

    client.post(LIST, {"action": "revoke_tokens", "_selected_action": str(token.pk)})
    token.refresh_from_db()
    assert token.state == "revoked"
    assert "Revoked." in client.get(f"{LIST}{token.pk}/history/").content.decode()


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"can_read": ""}, "without a scope"),
        ({"programs": '["x"]'}, "list of UUIDs"),
        ({"programs": '"x"'}, "list of UUIDs"),
        ({"requests_per_minute": "0"}, "greater than or equal to 1"),
    ],
)
def test_the_admin_refuses_a_token_that_cannot_be(fields: dict[str, str], fault: str) -> None:
    response = superuser().post(ADD, FIELDS | fields)

    assert fault in response.content.decode()
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    ("permissions", "scope", "status"),
    [
        (("add_apitoken",), "can_read", 403),
        (("add_apitoken", VIEW), "can_read", 200),
        (("add_apitoken", VIEW), "can_submit", 403),
        (("add_apitoken", VIEW, RUN), "can_submit", 200),
        ((VIEW, RUN), "can_read", 403),
    ],
)
def test_nobody_gives_a_token_more_than_they_may_do_themselves(
    permissions: tuple[str, ...], scope: str, status: int
) -> None:
    client = visitor(*permissions)
    fields: dict[str, Any] = FIELDS | {"can_read": ""} | {scope: "on"}

    assert client.post(ADD, fields).status_code == status
    assert ApiToken.objects.count() == (status == 200)
