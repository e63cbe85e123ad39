"""The dashboard and the alert rules: the metrics that they query are exposed, and each rule has commands."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from devservers import FlowerServer, WebServer
from tests.acceptance.test_flower import wait_for_state
from tests.support.pages import DOCS, blocks, section
from tests.support.programs import run
from tests.support.rows import enroll, make_user
from tests.support.service import Service, result_of

OPS = DOCS.parent / "ops"
RULES = (OPS / "prometheus" / "alerts.yml").read_text()
DASHBOARD = json.loads((OPS / "grafana" / "program-linking.json").read_text())
ALERTS = re.findall(r"- alert: (\w+)$", RULES, re.MULTILINE)


def rule_expressions() -> list[str]:
    """Return the expression of each rule, read without a YAML parser: from ``expr:`` to the next key."""
    return re.findall(r"^ {8}expr: (.*?)(?=^ {8}\w+:)", RULES, re.MULTILINE | re.DOTALL)


def panel_expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def queried(expression: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the metrics in an expression, each with its labels and their alternatives."""
    for name, labels in re.findall(r"\b((?:linking|flower)_\w+)(?:\{([^}]*)\})?", expression):
        matchers = re.findall(r'(\w+)=~?"([^"]*)"', labels)
        yield name, [(label, one) for label, values in matchers for one in values.split("|")]


@pytest.fixture
def samples(flower: FlowerServer, service: Service) -> list[Any]:
    """The samples that our pages and Flower expose after a job."""
    sent = service.link({"s-1": "nobody"})
    result_of(sent)
    wait_for_state(flower, sent, "SUCCESS")
    texts = [Client().get("/metrics").content.decode(), flower.get("/metrics").decode()]
    return [one for text in texts for family in text_string_to_metric_families(text) for one in family.samples]


def test_each_metric_of_rules_and_panels_is_exposed(samples: list[Any]) -> None:
    expressions = rule_expressions() + panel_expressions()
    wanted = [(name, matchers) for expression in expressions for name, matchers in queried(expression)]

    assert len(rule_expressions()) == len(ALERTS)
    assert len({name for name, _ in wanted}) >= 8
    for name, matchers in wanted:
        found = [one.labels for one in samples if one.name == name]
        assert found, f"{name} is exposed nowhere"
        for label, value in matchers:
            assert any(re.fullmatch(value, labels.get(label, "")) for labels in found), f"{name} has no {label}={value}"


def test_every_metric_of_the_ledger_is_on_the_dashboard(samples: list[Any]) -> None:
    shown = {name for expression in panel_expressions() for name, _ in queried(expression)}

    assert {one.name for one in samples if one.name.startswith("linking_")} <= shown


def test_each_rule_has_a_section_with_commands_in_the_documentation() -> None:
    runbooks = re.findall(r"runbook: (\S+)#(\S+)$", RULES, re.MULTILINE)

    assert runbooks == [("docs/operations.md", name.lower()) for name in ALERTS]
    for text in (r"severity: (?:critical|warning)\}", "summary: ."):
        assert len(re.findall(text, RULES)) == len(ALERTS)
    for name in ALERTS:
        assert blocks("operations.md", "bash", name), f"{name} has no commands"
        assert len(section("operations.md", name)) > 200


def test_the_commands_work(flower: FlowerServer, service: Service, worker_env: dict[str, str], tmp_path: Path) -> None:
    lines = [line for name in ALERTS for block in blocks("operations.md", "bash", name) for line in block.splitlines()]
    commands = dict.fromkeys(lines)  # Each once.
    make_user("ada")
    enroll("s-1")
    job_id = service.link({"s-1": "ada", "s-2": "nobody"})
    result_of(job_id)
    with WebServer(worker_env) as web:
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SECRET_KEY": "only-for-tests",
            "WEB": web.url,
            "FLOWER": flower.url,
            "FLOWER_BASIC_AUTH": flower.basic_auth,
            "JOB": job_id,
            "LINKING_INBOX": str(tmp_path),
        }

        def bash(command: str) -> subprocess.CompletedProcess[str]:
            return run("/bin/bash", "-euo", "pipefail", "-c", command, env=environment | worker_env)

        with ThreadPoolExecutor(4) as pool:
            for command, done in zip(commands, pool.map(bash, commands), strict=True):
                assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
                assert done.stdout or command.endswith("|| true"), f"{command} says nothing"
                assert "Not Found" not in done.stdout


def test_the_dashboard_chooses_its_own_source_and_its_panels_have_room() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    squares = [
        (x, y)
        for grid in (panel["gridPos"] for panel in panels)
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(squares)) == len(squares), "panels overlap"
    assert max(x for x, _ in squares) < 24


def test_the_documented_files_exist() -> None:
    paths = re.findall(r"\]\(\.\./(ops/[^)]+)\)", (DOCS / "operations.md").read_text())

    assert "ops/prometheus/alerts.yml" in paths
    assert [path for path in paths if not (DOCS.parent / path).is_file()] == []
