"""Staff of the LMS use the pages with their accounts there; no table of the LMS notices."""

import unicodedata
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client

from worker.lms.sessions.models import Session

pytestmark = pytest.mark.skipif("not config.getoption('lms')", reason="a database of an LMS: --lms")
PASSWORD = "pässword"
FORM = {"username": "ada", "password": PASSWORD}


@pytest.fixture
def account() -> User:
    """A member of the LMS's staff, whose password the LMS has hashed with a number of iterations of its own."""
    hashed = PBKDF2PasswordHasher().encode(unicodedata.normalize("NFKC", PASSWORD), "salt", iterations=1_000)
    return User.objects.create(username="ada", password=hashed, is_staff=True)


def rows(table: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")  # noqa: S608 - our own names
        return list(cursor.fetchall())


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_staff_sign_in_and_the_account_stays_as_it_was(account: User, client: Client, form: Any) -> None:
    before = rows("auth_user")

    response = client.post("/admin/login/", FORM | {"password": unicodedata.normalize(form, PASSWORD)}, secure=True)

    assert response.status_code == 302
    assert rows("auth_user") == before
    assert rows("django_session") == []
    assert Session.objects.count() == 1
    assert {*response.cookies} <= {"linking_sessionid", "linking_csrftoken"}


@pytest.mark.parametrize("change", [{"password": "other"}, {"username": "nobody"}])
def test_a_wrong_password_or_name_is_refused(account: User, client: Client, change: dict[str, str]) -> None:
    response = client.post("/admin/login/", FORM | change, secure=True)

    assert response.status_code == 200
    assert Session.objects.count() == 0


def test_an_inactive_account_is_refused(account: User, client: Client) -> None:
    User.objects.update(is_active=False)

    assert client.post("/admin/login/", FORM, secure=True).status_code == 200


def test_a_permission_that_migrate_created_shows_the_jobs(account: User, client: Client) -> None:
    client.force_login(account)
    refused = client.get("/admin/worker/linkingjob/", secure=True)

    account.user_permissions.add(Permission.objects.get(codename="view_linkingjob"))

    assert refused.status_code == 403
    assert client.get("/admin/worker/linkingjob/", secure=True).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_no_page_changes_an_account_and_every_table_has_its_page(admin_client: Client) -> None:
    home = admin_client.get("/admin/", secure=True).content.decode()

    assert "/admin/auth/" not in home
    assert "password_change" not in home
    assert admin_client.get("/admin/password_change/", secure=True).status_code == 404
    for page in (
        "linking_results/taskresult",
        "linking/programenrollment",
        "linking/coursemode",
        "api_tokens/apitoken",
    ):
        assert f"/admin/{page}/" in home
        assert admin_client.get(f"/admin/{page}/", secure=True).status_code == 200
