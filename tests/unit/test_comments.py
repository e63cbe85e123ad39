"""Comments, docstrings and documents name only files that exist."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("benchmarks", "chaos", "devservers", "docs", "linking", "ops", "samples", "tests", "worker")
EXTENSIONS = "cfg|csv|html|ini|js|json|md|png|py|sh|sql|svg|toml|txt|ya?ml"
PATH = re.compile(rf"(?<![\w./:*<-])((?:[\w.-]+/)+[\w.-]+\.(?:{EXTENSIONS}))(?![\w*/])")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
NOT_COMMITTED = {"results/small.json", "results/small.svg"}
"""Files that programs write."""


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


def test_a_missing_file_is_found() -> None:
    text = "as `worker/settings.py` and linking/gone.py do, and inbox/x.csv"
    assert missing(ROOT / "README.md", set(PATH.findall(text))) == {("README.md", "linking/gone.py")}


def test_files_that_comments_name_exist() -> None:
    found = set[tuple[str, str]]()
    for path in files("*.py", "*.yml", "*.toml", "*.sql", "Makefile", "Dockerfile"):
        found |= missing(path, {name for comment in comments(path) for name in PATH.findall(comment)})
    assert found == set()


def test_files_that_documents_name_or_link_exist() -> None:
    found = set[tuple[str, str]]()
    for path in files("*.md"):
        text = path.read_text(encoding="utf-8")
        links = {link for link in LINK.findall(text) if "://" not in link}
        found |= missing(path, set(PATH.findall(text)) - links)
        found |= {(str(path.relative_to(ROOT)), link) for link in links if not (path.parent / link).exists()}
    assert found == set()
