"""README and operations page name the settings, commands, options, networks and volumes that there are."""

import re
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator

import pytest
from django.core.management import load_command_class

from tests.support.pages import DOCS, README, section

ROOT = DOCS.parent
TEXTS = {page: (DOCS / page).resolve().read_text() for page in (README, "operations.md", "contract.md", "lms.md")}
COMMANDS = ("import_links", "link_program_enrollments", "linking_events", "linking_jobs")
READ = re.compile(r'(?:_(?:read|boolean|integer|path)|env\.\w+|environ\.get)\(\s*"([A-Z_]+)"')


def options_of(parser: ArgumentParser) -> Iterator[str]:
    """Yield the options of a command and its sub-commands."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way
        yield from action.option_strings
        if isinstance(action, _SubParsersAction):
            yield from action.choices
            for child in action.choices.values():
                yield from options_of(child)


def test_the_table_of_settings_has_each_variable_that_is_read_and_no_other() -> None:
    read = set(READ.findall((ROOT / "worker" / "settings.py").read_text()))
    read |= set(READ.findall((ROOT / "flowerconfig.py").read_text())) - {"FLOWER_ADDRESS"}  # Flower's own.

    assert set(re.findall(r"^\| `([A-Z_]+)` \|", TEXTS[README], re.MULTILINE)) == read


@pytest.mark.parametrize("name", COMMANDS)
def test_each_documented_option_of_a_command_exists(name: str) -> None:
    known = {*options_of(load_command_class("worker", name).create_parser("manage.py", name))}
    lines = [line for text in TEXTS.values() for line in re.findall(rf"manage\.py {name}\b([^\n`]*)", text)]
    named = {word for line in lines for word in re.findall(r"(?<!\S)--[a-z][\w-]*", line)}
    if name in {"linking_events", "linking_jobs"}:
        named |= {line.split()[0] for line in lines if line.split() and line.split()[0].islower()}

    assert named
    assert named <= known


def test_a_container_reaches_the_broker_and_a_file_the_inbox_as_documented() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    redis = re.findall(r"^  redis:\n(.*?)(?=^  \w)", compose, re.MULTILINE | re.DOTALL)[0]
    operations = TEXTS["operations.md"]

    assert "join the network `broker` and use `redis://:REDIS_PASSWORD@redis:6379/0`" in operations
    assert "networks: [broker]" in redis
    assert re.search(r"^  broker:", compose, re.MULTILINE)
    assert "docker compose exec -T worker sh -c 'cat > /inbox/spring.csv' < spring.csv" in operations
    assert '"inbox:/inbox"' in compose
    assert "LINKING_INBOX: /inbox" in compose


def test_first_steps_work_without_a_proxy_and_with_a_client_that_speaks_redis() -> None:
    started = [
        line for text in TEXTS.values() for line in re.findall(r"^.*gunicorn worker\.web\.wsgi", text, re.MULTILINE)
    ]

    assert started
    assert all(line.startswith("TLS_PROXY=0 ") for line in started)
    for page in (README, "contract.md"):
        assert 'pip install "celery[redis]"' in TEXTS[page]
    assert "manage.py import_links --force FILE" in TEXTS["operations.md"]


def test_each_scenario_of_a_bad_night_names_tests_that_exist() -> None:
    scenarios = re.split(r"^\d+\. ", section("operations.md", "A bad night"), flags=re.MULTILINE)[1:]

    assert len(scenarios) == 10
    for scenario in scenarios:
        tests = re.findall(r"`(tests/[\w/]+\.py)`", scenario)
        assert tests, f"{scenario} names no test"
        assert [path for path in tests if not (ROOT / path).is_file()] == []
        assert "*Pages:*" in scenario
        assert "*Do:*" in scenario
