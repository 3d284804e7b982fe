"""Griffe extension: docstrings, which are plain text, as Markdown that keeps their lists of arguments and their tables.

rewards, values: float32 [T, N]        an item of a list, its names in bold
"categorical"    fn(logits, actions)   a table in columns, kept as it is
    delta_t = r_t + ...                an indented formula is code in Markdown already
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ARGUMENTS = re.compile(r"([a-z_]\w*(?:(?:, | \.\.\. )[a-z_]\w*)*): ")
COLUMNS = re.compile(r"\S {3,}\S")


class PlainText(griffe.Extension):
    """Rewrites docstrings and leaves out magic methods, in everything that is loaded."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Leave out methods that mean what Python says they mean."""
        for name in [name for name in cls.members if name.startswith("__") and name not in ("__init__", "__call__")]:
            cls.del_member(name)


def as_markdown(text: str) -> str:
    """Return a docstring as Markdown; paragraphs are separated by empty lines or by indented code."""
    paragraphs: list[list[str]] = [[]]
    for line in text.splitlines():
        before = paragraphs[-1][-1:] or [""]
        starts_list = bool(ARGUMENTS.match(line)) and not ARGUMENTS.match(paragraphs[-1][0] if paragraphs[-1] else "")
        leaves_list = (
            bool(paragraphs[-1] and ARGUMENTS.match(paragraphs[-1][0]))
            and line[:1].strip() != ""
            and (not ARGUMENTS.match(line))
        )
        if not line.strip() or (starts_list and before != [""]) or leaves_list:
            paragraphs.append([])
        if line.strip():
            paragraphs[-1].append(line)
    return "\n\n".join(_paragraph(lines) for lines in paragraphs if lines)


def _paragraph(lines: list[str]) -> str:
    if any(COLUMNS.search(line) for line in lines) and not lines[0].startswith("    "):
        return "\n".join(f"    {line}" for line in lines)
    if not ARGUMENTS.match(lines[0]):
        return "\n".join(lines)
    return "\n".join(ARGUMENTS.sub(r"- **\1**: ", line, count=1) if line[:1].strip() else line for line in lines)
