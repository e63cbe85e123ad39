"""The way to the jobs: the first address, the admin's home, a list without jobs."""

import re

import pytest
from django.test import Client

from tests.support.jobs import submit
from tests.support.visitors import BY_TLS, RUN, VIEW, page, superuser, visitor

pytestmark = pytest.mark.django_db


def test_the_first_address_leads_to_the_jobs_and_those_who_may_not_see_them_to_the_home() -> None:
    for client, target in (
        (visitor(VIEW), page("changelist")),
        (Client(headers=BY_TLS), page("changelist")),  # Which asks for a password.
        (visitor(), "/admin/"),
    ):
        response = client.get("/")
        assert (response.status_code, response["Location"]) == (302, target)
        assert client.get(target, follow=True).status_code == 200


def test_the_home_begins_with_the_jobs_and_ends_with_the_tables_of_the_lms() -> None:
    text = superuser().get("/admin/").content.decode()

    sections = re.findall(r'<div class="app-(\w+) module', text)
    assert sections[0] == "worker"
    assert sections[-2:] == ["django_celery_results", "linking"]
    # The LMS and the worker own these rows.
    owners = set(re.findall(r'href="/admin/(\w+)/\w+/add/"', text))
    assert "auth" in owners
    assert not owners & {"django_celery_results", "linking"}


def test_a_list_without_jobs_says_how_to_begin_and_one_without_hits_does_not() -> None:
    client, viewer = visitor(VIEW, RUN), visitor(VIEW)
    list_page, card = page("changelist"), 'aria-label="No jobs yet"'

    text = client.get(list_page).content.decode()
    assert card in text
    assert f'<a href="{page("upload")}">Upload a CSV file</a>' in text
    assert card not in client.get(list_page, {"q": "roster.csv"}).content.decode()
    assert card not in client.get(list_page, {"state__exact": "done"}).content.decode()
    assert page("upload") not in viewer.get(list_page).content.decode()

    submit({"s-1": "u-1"})
    assert card not in client.get(list_page).content.decode()
