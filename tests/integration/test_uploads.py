"""The upload of a mapping on the admin's pages."""

from uuid import UUID, uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from pytest_django.fixtures import Settings

from tests.support.broker import Broker, task_of
from tests.support.ids import OTHER_PROGRAM, PROGRAM
from tests.support.visitors import HEADER, page, upload
from worker.models import LinkingJob

pytestmark = pytest.mark.usefixtures("broker")


def test_an_upload_becomes_a_dry_run_that_the_broker_has(runner: Client, broker: Broker) -> None:
    response = upload(runner, f"{HEADER}s-1,u-1\ns-2,u-2\n", program_uuid=str(PROGRAM))

    job = LinkingJob.objects.get()
    assert response.url == page("change", job)
    assert (job.options["dry_run"], job.total, job.source) == (True, 2, "roster.csv")
    assert [task_of(message) for message in broker.queued()] == ["linking.link_learners"] * 2
    assert LogEntry.objects.get().get_change_message() == "Uploaded for a dry run: roster.csv."


def test_a_file_of_several_programs_becomes_a_preview_of_each(runner: Client) -> None:
    rows = f"program_uuid,{HEADER}{PROGRAM},s-1,u-1\n{OTHER_PROGRAM},s-1,u-1\n{PROGRAM},s-2,u-2\n"

    response = upload(runner, rows)

    assert response.url == page("changelist") + "?q=roster.csv"
    found = LinkingJob.objects.values_list("program_uuid", "total", "source")
    assert set(found) == {(PROGRAM, 2, "roster.csv"), (OTHER_PROGRAM, 1, "roster.csv")}


def test_the_same_form_sent_twice_is_one_upload(runner: Client) -> None:
    upload_id = uuid4()

    addresses = {upload(runner, f"{HEADER}s-1,u-1\n", upload_id, program_uuid=str(PROGRAM)).url for _ in range(2)}

    assert addresses == {page("change", LinkingJob.objects.get())}


@pytest.mark.parametrize(
    ("content", "program", "fault"),
    [
        ("", PROGRAM, "The submitted file is empty."),
        ("key,user\ns-1,u-1\n", PROGRAM, "line 1: the header has no external_user_key and no lms_username"),
        (f"{HEADER}s-1,u-1\n", None, "line 1: the header has no program_uuid"),
        (f"program_uuid,{HEADER}nonsense,s-1,u-1\n", None, "line 2: program_uuid is 'nonsense', which is no UUID."),
        (f"program_uuid,{HEADER}{OTHER_PROGRAM},s-1,u-1\n", PROGRAM, f"line 2: program_uuid is '{OTHER_PROGRAM}', not"),
        (f"{HEADER}s-1,\n", PROGRAM, "line 2: lms_username is missing"),
        (f"{HEADER}s-1,u-1\ns-1,u-2\n", PROGRAM, "line 3: external user key s-1 provided multiple times"),
        (f"{HEADER}S-1,u-1\ns-1,u-2\n", PROGRAM, "line 3: external user key s-1 provided multiple times"),
        (f"{HEADER}s-1,\xff\n".encode("latin-1"), PROGRAM, "line 2: not UTF-8"),
        (HEADER, PROGRAM, "there is no learner in it"),
    ],
)
def test_a_faulty_file_is_refused_with_its_line(
    runner: Client, content: str | bytes, program: UUID | None, fault: str
) -> None:
    response = upload(runner, content, program_uuid=str(program or ""))

    assert response.status_code == 200
    assert any(fault in text for text in response.context["form"].errors["file"])
    assert not LinkingJob.objects.exists()


@pytest.mark.parametrize(
    ("limit", "value", "rows", "fault"),
    [
        ("FILE_UPLOAD_MAX_MEMORY_SIZE", 10, "a,a\na,a\n", "at most 16 MiB"),  # The rows are not read.
        ("LINKING_MAX_MAPPING", 2, "a,a\nb,b\nc,c\n", "3 learners of program"),
    ],
)
def test_a_file_that_is_too_large_is_refused(
    runner: Client, settings: Settings, limit: str, *, value: int, rows: str, fault: str
) -> None:
    setattr(settings, limit, value)

    response = upload(runner, HEADER + rows, program_uuid=str(PROGRAM))

    assert fault in response.context["form"].errors["file"][0]


def test_a_file_of_too_many_programs_is_refused_with_their_number_and_the_way_out(runner: Client) -> None:
    rows = [f"{UUID(int=n)},s-1,u-1\n" for n in range(101)]

    response = upload(runner, f"program_uuid,{HEADER}{''.join(rows)}")

    assert response.context["form"].errors["file"] == [
        "roster.csv: 101 programs, but a page takes 100: use the inbox, or split the file."
    ]
    assert not LinkingJob.objects.exists()
    assert upload(runner, f"program_uuid,{HEADER}{''.join(rows[1:])}").status_code == 302
    assert LinkingJob.objects.count() == 100
