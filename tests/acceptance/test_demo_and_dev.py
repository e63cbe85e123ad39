"""``make demo`` and ``make dev``: they show the expected output, can be interrupted, and leave nothing behind."""

import http.cookiejar
import os
import re
import signal
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import psutil

from tests.support.programs import started


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Return the output up to the line that contains ``text``."""
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if text in line:
            break
    return output


def assert_interruptible(process: subprocess.Popen[str], seconds: int) -> None:
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=seconds)
    assert process.returncode == 130
    assert output.endswith("Interrupted; nothing is left running.\n")


def log_in(address: str, username: str, password: str) -> str:
    """Log in to the admin and return its first page."""
    cookies = http.cookiejar.CookieJar()
    client = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    with client.open(f"{address}login/", timeout=30) as page:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.read().decode())
    assert token is not None
    form = {"username": username, "password": password, "csrfmiddlewaretoken": token[1], "next": "/admin/"}
    with client.open(f"{address}login/", urllib.parse.urlencode(form).encode(), timeout=30) as page:
        return str(page.read().decode())


def test_the_demo_has_the_expected_numbers() -> None:
    with started("samples.demo") as demo:
        output, _ = demo.communicate(timeout=120)

    assert demo.returncode == 0, output
    assert "These are the expected numbers for the sample." in output
    assert re.search(r"linked\W+1,755", output)
    assert "No user found with username" in output


def test_an_interrupted_demo_ends_at_once_and_reports_it() -> None:
    with started("samples.demo") as demo:
        read_until(demo, "$ manage.py")
        assert_interruptible(demo, seconds=20)


def test_all_processes_of_dev_start_accept_a_login_and_leave_neither_process_nor_folder() -> None:
    with started("samples.dev", PORT="0") as dev:
        output = read_until(dev, "until Ctrl-C")
        address = re.search(r"http://\S+/admin/", output)
        login = re.search(r"user (\S+)  password (\S+)", output)
        assert address is not None, output
        assert login is not None, output
        family = psutil.Process(dev.pid).children(recursive=True)
        folders = {Path(folder) for folder in re.findall(r"(/\S*/linking-\w+-\w+)", output)}
        assert len(folders) == 5
        assert len(family) > len(folders)  # At least one process for each server.
        assert "/admin/worker/linkingjob/" in log_in(address[0], *login.groups())
        assert_interruptible(dev, seconds=60)

    assert not [folder for folder in folders if folder.exists()]
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
