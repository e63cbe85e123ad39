"""The examples of the documentation."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
README = "../README.md"
"""The README, as a page."""


def blocks(page: str, language: str, heading: str | None = None) -> list[str]:
    """Return the code blocks of a page of ``docs`` in one language, on request only those of one section."""
    text = (DOCS / page).read_text() if heading is None else section(page, heading)
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def program(page: str, name: str) -> str:
    """Return the program of a page whose first line is the comment ``# name``."""
    language = {"py": "python", "sh": "bash"}[name.rpartition(".")[2]]
    (found,) = [block for block in blocks(page, language) if block.startswith(f"# {name}\n")]
    return found


def programs(page: str) -> dict[str, str]:
    """Return all programs of a page, which must be named in their first line, by their names."""
    found = [block for language in ("python", "bash") for block in blocks(page, language)]
    return {block.partition("\n")[0].removeprefix("# "): block for block in found}


def section(page: str, heading: str) -> str:
    """Return the text under a heading, as far as the next heading of any level."""
    pattern = rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ [A-Z]|\Z)"
    (found,) = re.findall(pattern, (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


def table(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, row by row, without its head."""
    rows = re.findall(r"^\| (.*) \|$", section(page, heading), re.MULTILINE)
    return [re.split(r" \|(?: |$)", row) for row in rows[2:]]
