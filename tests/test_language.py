"""Hold the language of the code: how docstrings begin, and how long the names of tests are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("custom_ppo", "harness", "tests")

FRAGMENTS = frozenset(
    {"What", "Of", "How", "Whether", "Such", "Those", "Who", "Whom", "Whose", "Where", "When", "Which", "So", "With"}
    | {"For", "From", "To", "In", "The same", "As", "That"}
)
"""First words that make a docstring a fragment of a sentence: it should begin with a verb or with what is returned."""

LONGEST_TEST_NAME = 80


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of every docstring, those of attributes included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def fragments(source: str) -> list[tuple[int, str]]:
    """Return line and first words of every docstring that begins with a word of FRAGMENTS."""
    found = []
    for line, text in docstrings(source):
        words = text.split()[:6]
        first = "The same" if words[:2] == ["The", "same"] else words[0].rstrip(",:") if words else ""
        if first in FRAGMENTS:
            found.append((line, " ".join(words)))
    return found


def files() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def test_no_docstring_begins_with_a_fragment() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {words} ..."
        for path in files()
        for line, words in fragments(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_names_of_tests_are_short_enough_to_read() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} ({len(node.name)} characters)"
        for path in files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and len(node.name) > LONGEST_TEST_NAME
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""Of the subject."""', [(1, "Of the subject.")]),
        ('x = 1\n"""The same of two traces."""', [(2, "The same of two traces.")]),
        ('def f():\n    """Whether it ends."""', [(2, "Whether it ends.")]),
        ('def f():\n    """Return True if it ends."""', []),
        ('x = 1\n"""Rank of a quantity."""', []),
    ],
)
def test_a_planted_fragment_is_reported_with_its_line(source: str, expected: list[tuple[int, str]]) -> None:
    assert fragments(source) == expected
