"""``make dev`` starts all processes, accepts its user's login, and leaves nothing behind."""

import http.cookiejar
import os
import re
import signal
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.programs import started

if TYPE_CHECKING:
    import subprocess


@pytest.fixture
def dev() -> Iterator["subprocess.Popen[str]"]:
    with started("samples.dev", PORT="0") as process:
        yield process


def read_until_ready(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if "until Ctrl-C" in line:
            break
    return output


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


def test_all_processes_start_accept_a_login_and_leave_neither_process_nor_folder(dev: "subprocess.Popen[str]") -> None:
    output = read_until_ready(dev)
    address = re.search(r"http://\S+/admin/", output)
    login = re.search(r"user (\S+)  password (\S+)", output)
    assert address is not None, output
    assert login is not None, output
    family = psutil.Process(dev.pid).children(recursive=True)
    folders = {Path(folder) for folder in re.findall(r"(/\S*/linking-\w+-\w+)", output)}

    assert len(family) > len(folders)  # At least one process for each server.
    first_page = log_in(address[0], *login.groups())
    os.killpg(dev.pid, signal.SIGINT)
    rest, _ = dev.communicate(timeout=60)

    assert "/admin/worker/linkingjob/" in first_page
    assert dev.returncode == 130
    assert rest.endswith("Interrupted; nothing is left running.\n")
    assert len(folders) == 5
    assert not [folder for folder in folders if folder.exists()]
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
