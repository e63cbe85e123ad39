"""Pause and resume on the pages: who may, what they show, and which jobs wait."""

import pytest

from tests.support.ids import PROGRAM
from tests.support.jobs import run_job, submit
from tests.support.populations import add_learners
from tests.support.visitors import RUN, VIEW, page, press, superuser, visitor
from worker import jobs
from worker.jobs.slices import run_slice
from worker.models import Pause, ProgramName

pytestmark = pytest.mark.django_db(transaction=True)
HOME, LIST, PAUSES = "/admin/", page("changelist"), page("pauses")


def test_everything_is_paused_and_resumed_and_every_page_says_so(redis_without_worker: str) -> None:
    assert redis_without_worker
    client, job = superuser(), submit(add_learners(2))
    assert "Nothing is paused" in client.get(PAUSES).content.decode()

    assert client.post(PAUSES, {"program_uuid": "", "reason": "LMS <upgrade>"}).status_code == 302

    assert run_slice(job.pk, 0).is_paused
    for address in (HOME, LIST, PAUSES, page("change", job)):
        text = client.get(address).content.decode()
        assert "<strong>Everything" in text, address
        assert "by root since" in text
        assert "LMS &lt;upgrade&gt;" in text
    assert 'class="state mark-paused">paused<' in client.get(LIST).content.decode()
    assert "mark-paused" in client.get(page("progress", job)).json()["html"]

    (pause,) = Pause.objects.all()
    assert client.post(PAUSES, {"resume": pause.pk}).status_code == 302
    assert not Pause.objects.exists()
    assert not run_slice(job.pk, 0).is_paused
    assert "Everything" not in client.get(LIST).content.decode()
    assert client.post(PAUSES, {"resume": pause.pk}).status_code == 302  # Somebody else was faster.


def test_a_program_is_paused_by_its_name(redis_without_worker: str) -> None:
    assert redis_without_worker
    ProgramName.objects.create(program_uuid=PROGRAM, name="Data Science")
    client, job = superuser(), submit(add_learners(1))

    assert "no program of this name" in client.post(PAUSES, {"program_uuid": "Data"}).content.decode()
    assert client.post(PAUSES, {"program_uuid": "data science"}).status_code == 302

    assert (Pause.objects.get().kind, Pause.objects.get().target) == (Pause.Kind.PROGRAM, PROGRAM)
    assert "<strong>Program Data Science is paused</strong>" in client.get(page("change", job)).content.decode()


def test_a_job_is_paused_and_resumed_with_its_buttons(redis_without_worker: str) -> None:
    assert redis_without_worker
    client, job, ended = visitor(VIEW, RUN), submit(add_learners(3)), run_job(add_learners(1))
    own = page("change", job)
    assert page("button", job, "pause") in client.get(own).content.decode()
    assert page("button", ended, "pause") not in client.get(page("change", ended)).content.decode()

    assert press(client, job, "pause", reason="wrong file?").status_code == 302

    text = client.get(own).content.decode()
    assert page("button", job, "pause") not in text
    assert page("button", job, "resume") in text
    assert "wrong file?" in text
    assert "Pause." in text  # The history says who.
    assert run_slice(job.pk, 0).is_paused
    assert press(client, job, "resume").status_code == 302
    assert run_slice(job.pk, 0).finished


def test_only_users_who_may_run_jobs_pause_and_only_those_who_may_view_jobs_see_it() -> None:
    jobs.pause(Pause.Kind.EVERYTHING, paused_by="ada")
    viewer, nobody, job = visitor(VIEW), visitor(), submit(add_learners(1))

    assert viewer.get(PAUSES).status_code == viewer.post(PAUSES, {}).status_code == 403
    assert press(viewer, job, "pause").status_code == 403
    assert "Everything is paused" in viewer.get(LIST).content.decode()
    assert PAUSES not in viewer.get(LIST).content.decode()
    assert "Everything is paused" in viewer.get(HOME).content.decode()
    assert "is paused" not in nobody.get(HOME).content.decode()
