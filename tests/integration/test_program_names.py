"""Programs by name on the pages, and the list of programs to choose from in forms."""

import re
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client

from linking.bulk import program_uuids
from tests.support.ids import OTHER_PROGRAM, PROGRAM
from tests.support.jobs import submit
from tests.support.populations import add_learners
from tests.support.rows import enroll
from tests.support.visitors import HEADER, RUN, VIEW, page, superuser, upload, visitor
from worker.models import LinkingJob, ProgramName

NAME = "Data Science MSc"


@pytest.fixture
def client() -> Client:
    """A visitor who may run jobs."""
    return visitor(VIEW, RUN)


@pytest.fixture
def named() -> ProgramName:
    return ProgramName.objects.create(program_uuid=PROGRAM, name=NAME)


def listed(client: Client, address: str) -> list[tuple[str, str]]:
    """Return the values and texts of the list of programs on a page."""
    text = client.get(address).content.decode()
    (name,) = re.findall(r'<input[^>]* name="program_uuid"[^>]* list="(\w+)"', text)
    (choices,) = re.findall(rf'<datalist id="{name}">(.*?)</datalist>', text)
    return re.findall(r'<option value="(.*?)">(.*?)</option>', choices)


@pytest.mark.usefixtures("named")
def test_jobs_are_shown_with_the_name_of_their_program_and_found_by_it(client: Client) -> None:
    job, other = submit({"s-1": "u-1"}), submit({"s-1": "u-1"}, OTHER_PROGRAM)

    listing = client.get(page("changelist")).content.decode()
    found = client.get(page("changelist"), {"q": "data science msc"}).content.decode()
    text = client.get(page("change", job)).content.decode()

    assert f'title="{PROGRAM}">{NAME}<' in listing
    assert f'title="{OTHER_PROGRAM}">program {str(OTHER_PROGRAM)[:8]}…<' in listing
    assert page("change", job) in found
    assert page("change", other) not in found
    assert f'{NAME} <span class="quiet">{PROGRAM}</span>' in text
    assert f"{page('changelist')}?q={PROGRAM}" in text


@pytest.mark.usefixtures("named")
def test_an_upload_lists_the_programs_by_name_and_those_that_have_enrollments(client: Client) -> None:
    for key, program in (("s-1", OTHER_PROGRAM), ("s-1", PROGRAM), ("s-2", OTHER_PROGRAM)):
        enroll(key, program_uuid=program)

    assert listed(client, page("upload")) == [(NAME, str(PROGRAM)), (str(OTHER_PROGRAM), "")]


@pytest.mark.usefixtures("named", "redis_without_worker")
@pytest.mark.parametrize("given", [NAME, " data science MSC ", str(PROGRAM), PROGRAM.hex.upper()])
def test_an_upload_takes_the_name_of_a_program_or_its_uuid(client: Client, given: str) -> None:
    assert upload(client, f"{HEADER}s-1,u-1\n", program_uuid=given).status_code == 302

    assert LinkingJob.objects.get().program_uuid == PROGRAM


def test_a_name_that_no_program_has_is_refused_and_kept_in_the_form(client: Client) -> None:
    text = upload(client, f"{HEADER}s-1,u-1\n", program_uuid="Astrology").content.decode()

    assert "There is no program of this name: choose one of the list, or give its UUID." in text
    assert 'value="Astrology"' in text


def test_names_are_written_in_the_admin_by_those_who_may() -> None:
    enroll("s-1")
    job = submit({"s-1": "u-1"})
    admin, address = superuser(), "/admin/worker/programname/"
    assert listed(admin, f"{address}add/") == [(str(PROGRAM), "")]
    naming = f"{address}add/?program_uuid={PROGRAM}"
    assert naming in admin.get(page("change", job)).content.decode()
    assert naming not in visitor(VIEW, RUN).get(page("change", job)).content.decode()
    assert f'value="{PROGRAM}"' in admin.get(naming).content.decode()

    admin.post(f"{address}add/", {"program_uuid": str(PROGRAM), "name": NAME})
    admin.post(f"{address}{PROGRAM}/change/", {"program_uuid": str(OTHER_PROGRAM), "name": "Data Science"})

    assert list(ProgramName.objects.values_list("program_uuid", "name")) == [(PROGRAM, "Data Science")]
    assert visitor(VIEW, RUN).get(f"{address}add/").status_code == 403
    assert visitor("view_programname").get(address).status_code == 200


def test_programs_are_found_one_by_one_up_to_a_limit() -> None:
    programs = [UUID(int=n) for n in (3, 1, 2)]
    for program in programs:
        add_learners(2, program)

    assert program_uuids(9) == sorted(programs)
    assert program_uuids(2) == sorted(programs)[:2]


def test_without_enrollments_there_is_no_program() -> None:
    assert program_uuids(9) == []


@pytest.mark.skipif("config.getoption('database') != 'postgres'", reason="the plans of PostgreSQL")
def test_the_next_program_is_looked_up_in_the_index() -> None:
    for n in range(3):
        add_learners(2_000, UUID(int=n))
    plans: list[str] = []

    def explained(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        plans.append("\n".join(row[0] for row in connection.connection.execute(f"EXPLAIN ANALYZE {sql}", params)))
        return execute(sql, params, many, context)

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE program_enrollments_programenrollment")
    with connection.execute_wrapper(explained):
        assert len(program_uuids(9)) == 3

    assert "Seq Scan" not in plans[0]
    assert plans[0].count("programenrollment_folded_key") == 2, plans[0]
