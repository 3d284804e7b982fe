"""Labels of algorithms, names of experiments and environment ids, which all become names of result folders."""

from __future__ import annotations

from collections.abc import Callable

from harness.config.rules import matching
from harness.errors import ConfigError

__all__ = ["LABEL", "reject_shared_folders"]

LABEL = matching(
    r"[A-Za-z0-9_][A-Za-z0-9_.:-]*", "a name of letters, digits and _ . : - that starts with a letter, digit or _"
)
"""Rule for a label: without separators, so that its folder cannot lie outside the results."""


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
