"""Comments, docstrings and documents name only files that exist."""

import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("benchmarks", "chaos", "devservers", "docs", "linking", "lms", "ops", "samples", "tests", "worker")
EXTENSIONS = "cfg|csv|html|ini|js|json|md|png|py|sh|sql|svg|toml|txt|ya?ml"
PATH = re.compile(rf"(?<![\w./:*<-])((?:[\w.-]+/)+[\w.-]+\.(?:{EXTENSIONS}))(?![\w*/])")
NAME = re.compile(
    r"(?<![\w./:*<>$\"'{-])([A-Za-z][\w-]*\.(?:cfg|css|html|ini|js|json|md|py|sh|svg|toml|ya?ml))(?![\w*/(])"
)
"""A file's name without its folder; tables and data files are often those of others."""
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
NOT_COMMITTED = {"results/small.json", "results/small.svg"}
"""Files that programs write."""
OF_THE_READER = {
    "api.sh",
    "api_client.py",
    "enqueue.py",
    "events_consumer.py",
    "flower.sh",
    "get.py",
    "prometheus.yml",
    "receivers.py",
    "send.py",
    "small.svg",
}
"""Files that readers of the documents write, from what is printed there, or that programs write."""


def files(*patterns: str) -> list[Path]:
    tops = [path for pattern in patterns for path in ROOT.glob(pattern)]
    nested = [path for folder in FOLDERS for pattern in patterns for path in (ROOT / folder).rglob(pattern)]
    return sorted(path for path in (*tops, *nested) if path.is_file())


def comments(path: Path) -> Iterator[str]:
    """Yield the comments of a file and, if it is Python, its triple-quoted strings."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from (line.partition("--" if path.suffix == ".sql" else "#")[2] for line in text.splitlines())
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.string.startswith('"""')):
            yield token.string


def missing(path: Path, names: set[str]) -> set[tuple[str, str]]:
    """Return the names of missing files; other names, such as files in an inbox, begin with none of our folders."""
    return {
        (str(path.relative_to(ROOT)), name)
        for name in names - NOT_COMMITTED
        if (folders := [folder for folder in (ROOT, path.parent) if (folder / Path(name).parts[0]).is_dir()])
        and not any((folder / name).exists() for folder in folders)
    }


@cache
def names() -> set[str]:
    """Return the names of all files of the repository."""
    return {file.name for file in files("*", ".*")}


def unknown(path: Path, text: str) -> set[tuple[str, str]]:
    """Return the names of files, without a folder, that no file of the repository has."""
    return {(str(path.relative_to(ROOT)), name) for name in set(NAME.findall(text)) - names() - OF_THE_READER}


def test_a_missing_file_is_found() -> None:
    text = "as `worker/settings.py` and linking/gone.py do, and inbox/x.csv; see ``gone.md``, dispatch.py and x.py(1)"
    assert missing(ROOT / "README.md", set(PATH.findall(text))) == {("README.md", "linking/gone.py")}
    assert unknown(ROOT / "README.md", text) == {("README.md", "gone.md")}


def test_files_that_comments_name_exist() -> None:
    found = set[tuple[str, str]]()
    for path in files("*.py", "*.yml", "*.toml", "*.sql", "Makefile", "Dockerfile"):
        for comment in comments(path):
            found |= missing(path, set(PATH.findall(comment))) | unknown(path, comment)
    assert found == set()


def test_files_that_documents_name_or_link_exist() -> None:
    found = set[tuple[str, str]]()
    for path in files("*.md"):
        text = path.read_text(encoding="utf-8")
        links = {link for link in LINK.findall(text) if "://" not in link}
        found |= missing(path, set(PATH.findall(text)) - links) | unknown(path, text)
        found |= {(str(path.relative_to(ROOT)), link) for link in links if not (path.parent / link).exists()}
    assert found == set()
