"""Labels of algorithms, names of experiments and environment ids, which all become names of result folders."""

from __future__ import annotations

from collections.abc import Callable

from harness.config.rules import describe, matching
from harness.errors import ConfigError

__all__ = ["LABEL", "MAX_LENGTH", "level_text", "reject_shared_folders"]

MAX_LENGTH = 120
"""Largest number of characters of a label: file systems allow 255 bytes for the name of a folder."""

LABEL = matching(
    r"[A-Za-z0-9_][A-Za-z0-9_.:=,+-]*",
    "a name of letters, digits and _ . : = , + - that starts with a letter, digit or _",
    max_length=MAX_LENGTH,
)
"""Rule for a label: without separators, so that its folder cannot lie outside the results; without spaces, brackets and
characters that a shell, a table in Markdown or a page in HTML would interpret."""

_LEVEL = matching(r"[A-Za-z0-9_.:+-]+", "a number, true, false, null or text of letters, digits and _ . : + -")


def level_text(value: object) -> str:
    """Return the text that stands for a level in labels, in the words of YAML; raise ConfigError if there is none."""
    match value:
        case None:
            return "null"
        case bool() | int() | float():
            return describe(value)
    return str(_LEVEL(value))


def reject_shared_folders(kind: str, folder_of: Callable[[str], str]) -> Callable[[str], None]:
    """Return a function that raises ConfigError for a name whose folder of results belongs to an earlier name.

    kind: noun for the names in messages, such as "algorithm"; folder_of: function from a name to its folder.
    """
    seen: dict[str, str] = {}

    def check(name: str) -> None:
        folder = folder_of(name)
        if folder in seen:
            reason = "is given twice" if seen[folder] == name else f"and {seen[folder]} would share the folder {folder}"
            raise ConfigError(f"the {kind} {name} {reason}")
        seen[folder] = name

    return check
