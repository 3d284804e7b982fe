"""Every link, path, module, make target and command in the documentation exists."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from harness.cli import app
from harness.crosscheck.quantities import ORDER

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "results/README.md")]
    + list((ROOT / "docs").rglob("*.md"))
)

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED_LINK = re.compile(r"\[`([\w.]+)`\]\(([^)\s]+\.py)\)")
CODE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"(?:custom_ppo|harness|tests|configs|docs|results/published|\.github)/[\w./*-]*")
MODULE = re.compile(r"(?:custom_ppo|harness|tests)(?:\.\w+)+")
COMMAND = re.compile(r"(?<!from )(?<![\w/.-])(?:\.venv/bin/)?harness ([a-z][a-z-]+)")
TARGET = re.compile(r"(?<![\w/.-])make ([a-z][a-z-]+)")


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"(?m)^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> Iterator[str]:
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        target, _, anchor = link.partition("#")
        if re.match(r"\w+:", target):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists():
            yield f"{page.name}: {link} does not exist"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            yield f"{page.name}: {link}: there is no such heading"


def code_in(page: Path) -> Iterator[str]:
    """Yield the code of a page: between backticks, and line by line in blocks."""
    text = page.read_text(encoding="utf-8")
    yield from CODE.findall(FENCE.sub("", text))
    yield from (line for block in FENCE.findall(text) for line in block.splitlines())


def resolves(dotted: str) -> bool:
    """Return True if a dotted name is a module, or an attribute in one."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert list(dead_links(page)) == []


def test_functions_linked_to_a_file_are_defined_there() -> None:
    linked = [
        (page, name, (page.parent / target).resolve())
        for page in PAGES
        for name, target in NAMED_LINK.findall(page.read_text(encoding="utf-8"))
    ]
    assert len(linked) > 10
    for page, name, file in linked:
        source = file.read_text(encoding="utf-8")
        for part in name.split("."):
            assert re.search(rf"(?m)^\s*(?:def|class) {part}\b", source), f"{named(page)}: {name} is not in {file.name}"


def test_quantities_of_the_reading_path_are_those_of_a_trace() -> None:
    rows = re.findall(r"(?m)^\|(.*)\|$", (ROOT / "docs" / "reading_path.md").read_text(encoding="utf-8"))
    found = [name for row in rows for name in CODE.findall(row.split("|")[2])]
    assert len(found) > 20
    assert [name for name in found if name not in ORDER] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_path_that_is_mentioned_exists(page: Path) -> None:
    paths = [path.rstrip(".") for code in CODE.findall(page.read_text(encoding="utf-8")) for path in PATH.findall(code)]
    assert [path for path in paths if not list(ROOT.glob(path))] == []


# The changelog speaks of modules by names that they had before.
@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=named)
def test_every_module_that_is_mentioned_exists(page: Path) -> None:
    mentioned = {name for code in code_in(page) if "://" not in code for name in MODULE.findall(code)}
    assert [name for name in sorted(mentioned) if not resolves(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_that_is_shown_exists(page: Path) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    targets = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"))
    shown = list(code_in(page))
    assert {name for code in shown for name in COMMAND.findall(code)} <= {*commands}
    assert {name for code in shown for name in TARGET.findall(code)} <= {*targets}


def test_what_does_not_exist_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A heading\n[a](gone.md) [b](#a-heading) [c](#gone) [d](https://example.org) [e](page.md#gone)\n")
    assert list(dead_links(page)) == [
        "page.md: gone.md does not exist",
        "page.md: #gone: there is no such heading",
        "page.md: page.md#gone: there is no such heading",
    ]
    assert resolves("harness.errors.HarnessError")
    assert not resolves("harness.errors.NoSuchError")
    assert not resolves("harness.no_such_module")
