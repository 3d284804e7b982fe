"""Pattern of the paths of runs, such as "{algo}_{env}_seed{seed}", which says what each part of a path names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import HarnessError

__all__ = ["PathPattern", "path_pattern"]

# Algorithms hold underscores and environments dashes: {env} of "custom_ppo_Drone_seed0" is Drone, and that of
# "a2c-Drone-v1" is Drone-v1.
_UNDERSCORED = {"algo": r"(?P<algo>[^/]+)", "env": r"(?P<env>[^/]+?)", "seed": r"(?P<seed>\d+)"}
_DASHED = {"algo": r"(?P<algo>[^/]+?)", "env": r"(?P<env>[^/]+)", "seed": r"(?P<seed>\d+)"}


@dataclass(frozen=True)
class PathPattern:
    """Compiled pattern: which part of a path is algorithm, environment and seed."""

    text: str
    regex: re.Pattern[str]
    n_names: int
    """Number of names at the end of a path that it covers."""

    def match(self, names: Sequence[str]) -> dict[str, str] | None:
        """Return the values of the fields in the last names of a path, None if they do not match.

        names: folders on the way to a run, and the stem of its Monitor file if that has a name.
        """
        found = self.regex.fullmatch("/".join(names[-self.n_names :]))
        return None if found is None else found.groupdict()


def path_pattern(text: str) -> PathPattern:
    """Return the compiled pattern; raise HarnessError, in one line, for one that cannot be understood.

    {algo}, {env} and {seed} stand for a part of one name each, and * for any part; seed is a number. / separates names.
    """
    expected = 'expected {algo}, and {env}, {seed} and * as needed, such as "{algo}_{env}_seed{seed}"'
    parts = re.split(r"(\{[^{}]*\}|\*)", text.strip("/"))
    fields = [part[1:-1] for part in parts if part.startswith("{")]
    unknown = next((name for name in fields if name not in _DASHED), None)
    if unknown is not None:
        raise HarnessError(f"--pattern: {{{unknown}}} is unknown, {expected}")
    if "algo" not in fields or len(set(fields)) < len(fields):
        raise HarnessError(f"--pattern: {text!r} does not name each field once, {expected}")
    known = _DASHED if "{algo}-{env}" in text or "{env}-{algo}" in text else _UNDERSCORED
    regex = "".join(
        "[^/]*" if part == "*" else known[part[1:-1]] if part.startswith("{") else re.escape(part) for part in parts
    )
    return PathPattern(text, re.compile(regex), text.strip("/").count("/") + 1)
