"""Entries of the inbox that are not imported stay there, and are reported: in the log, on a page, by the command."""

import time
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.utils import timezone

from tests.support.inbox_files import files_in, write_file
from tests.support.populations import add_learners
from tests.support.visitors import page, superuser
from worker import dispatch
from worker.imports import folder as inbox_folder
from worker.models import InboxFile
from worker.tasks import import_inbox

SUFFIX = "the name does not end in .csv"
LEFT = {
    ".x.csv": "hidden",
    "csv": SUFFIX,
    "old": "a folder",
    "x.csv.part": SUFFIX,
    "x.tsv": SUFFIX,
    "x.txt": SUFFIX,
}


@pytest.fixture
def folder(tmp_path: Path, settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inbox with a file to import and six entries that are none."""
    monkeypatch.setattr(inbox_folder, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(dispatch, "dispatch_all", lambda _jobs: None)
    settings.LINKING_INBOX = tmp_path
    (tmp_path / "old").mkdir()
    for name in LEFT.keys() - {"old"}:
        write_file(tmp_path / name, {"zq7-key": "zq7-name"})
    write_file(tmp_path / "WINDOWS.CSV", add_learners(1))
    return tmp_path


def left() -> dict[str, str]:
    return dict(InboxFile.objects.filter(state="left").values_list("name", "message"))


def test_other_names_and_folders_stay_and_are_logged_once_a_night(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):  # The second is a redelivery the same night.
        import_inbox()

    named = ", ".join(f"{name!r} ({reason})" for name, reason in LEFT.items())
    assert caplog.messages == [f"left in the inbox, not imported: {named}"]
    assert left() == LEFT
    assert [file.name for file in InboxFile.objects.exclude(state="left")] == ["WINDOWS.CSV"]
    assert files_in(folder) >= LEFT.keys() - {"old"}

    for name in LEFT.keys() - {"old", "x.txt"}:
        (folder / name).unlink()
    InboxFile.objects.filter(state="left").update(finished=timezone.now() - timedelta(hours=23))
    caplog.clear()
    import_inbox()

    assert caplog.messages == [f"left in the inbox, not imported: 'old' (a folder), 'x.txt' ({SUFFIX})"]
    assert left() == {"old": "a folder", "x.txt": SUFFIX}


def test_of_many_the_log_names_twenty(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for n in range(144):
        (folder / f"{n:03}.txt").touch()

    import_inbox()

    assert len(left()) == 100
    assert caplog.text.count(".txt'") == 19
    assert caplog.messages[0].endswith(" and 130 more")


def test_an_entry_that_still_changes_is_not_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / ".y.csv.Zk81"  # A file under way: it is renamed when it is complete.
    path.touch()
    monkeypatch.setattr(time, "sleep", lambda _: path.write_text("more"))

    assert inbox_folder.list_inbox(folder) == (["WINDOWS.CSV"], [], LEFT)


def test_the_list_of_jobs_shows_them_until_they_are_gone(folder: Path) -> None:
    import_inbox()
    client = superuser()

    shown = client.get(page("changelist")).content.decode()

    assert "Left in the inbox, not imported" in shown
    assert all(f">{name}</span>: {reason}, since" in shown for name, reason in LEFT.items())
    for name in LEFT.keys() - {"old"}:
        (folder / name).unlink()
    (folder / "old").rmdir()
    import_inbox()
    assert "Left in the inbox" not in client.get(page("changelist")).content.decode()


def test_the_command_names_them(folder: Path) -> None:
    shown = StringIO()

    (folder / "WINDOWS.CSV").unlink()
    call_command("import_links", stdout=shown)

    assert f"x.txt is left in the inbox: {SUFFIX}." in shown.getvalue()
    assert "old is left in the inbox: a folder." in shown.getvalue()
