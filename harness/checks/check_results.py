"""Results of a check: a short report if all results are right, else an exception with the smallest failing input."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version
from typing import Any

import numpy as np

from harness.checks.case import Array, Inputs, Outputs

__all__ = ["CheckFailed", "CheckReport", "Finding", "described", "first_difference"]

WIDTH = 110
"""Longest line of prose; lines of numbers are not broken."""


@dataclass(frozen=True)
class CheckReport:
    """Report of a check in which every case gave SB3's results."""

    name: str
    """Name of the check, for example "check_gae"."""
    n_cases: int
    compared: Sequence[str]
    """Names of the results that the function returned, for example "advantages"."""
    largest_difference: float
    """Largest absolute difference; 0 if every element is equal to the bit."""
    largest_ulps: float
    """Largest difference in units of float32's rounding at the size of the summands."""
    largest_in: str
    """Name of the case with the largest difference."""

    @property
    def bit_equal(self) -> bool:
        """True if every element is equal to SB3's to the bit."""
        return self.largest_difference == 0

    def __str__(self) -> str:
        what = " and ".join(self.compared)
        if self.bit_equal:
            how = "equal to the bit"
        else:
            how = (
                f"equal within rounding: at most {self.largest_ulps:.1f} float32 units of the size of the summands, "
                f'in "{self.largest_in}"'
            )
        return f"{self.name}: {self.n_cases} cases, {what} {how} (stable-baselines3 {version('stable-baselines3')})"


@dataclass(frozen=True)
class Finding:
    """Fault of the result for one input."""

    kind: str
    """Kind of fault: "raised", "changed" or "unusable" without numbers; else "shape", "not a number" or "number"."""
    text: str
    """Description in one line."""
    cause: Exception | None = None
    """Exception of the function."""
    wrong: frozenset[str] = frozenset()
    """Names of the results that differ."""


@dataclass(eq=False, repr=False)
class CheckFailed(AssertionError):  # noqa: N818  it reads as what it is in a test's output
    """Failure of a function to give SB3's results; its text shows the smallest failing input."""

    name: str
    """Name of the check."""
    case: str
    """Name of the first wrong case, which describes the edge case."""
    inputs: Inputs
    """Arguments that show the fault, made as small as possible."""
    finding: Finding
    """Fault for these arguments."""
    got: Outputs
    expected: Outputs
    """SB3's results for these arguments."""
    hint: str
    """Probable cause, in words; empty if no known mistake gives these results."""
    wrong: Sequence[str]
    """Names of all wrong cases."""
    right: Sequence[str]
    """Names of all right cases."""
    calls: str
    """Call of the function and its result, for users."""
    mistakes: Sequence[str]
    """Ids of the mistakes that the hint names: `python -m harness.catalogue` describes them."""

    def __post_init__(self) -> None:
        self.args = (str(self).splitlines()[0],)

    def __reduce__(self) -> Any:
        """Return a constructor call with all fields: by default only `args` would be pickled."""
        return _rebuilt, ({item.name: getattr(self, item.name) for item in fields(self)},)

    def __str__(self) -> str:
        n = len(self.wrong) + len(self.right)
        lines = [f'{self.name}: {len(self.wrong)} of {n} cases wrong, the first is "{self.case}"']
        lines += ["  smallest input that shows it:", *_table(self.inputs)]
        lines.append(f"  {self.finding.text}")
        for name in [name for name in self.got if name in self.finding.wrong and self.expected[name].size > 1]:
            lines += _table({f"{name}, got": self.got[name], f"{name}, expected": self.expected[name]}, shapes=False)
        if self.hint:
            lines += [line for part in f"probable cause: {self.hint}".splitlines() for line in _wrapped(part)]
        if self.right and len(self.wrong) > 1:
            lines += _wrapped(f"wrong in: {_listed(self.wrong)}")
        if self.right:
            lines += _wrapped(f"right in: {_listed(self.right)}")
        else:
            lines += _wrapped(f"the function is called as {self.calls}")
        return "\n".join(lines)


def _rebuilt(attributes: Mapping[str, Any]) -> CheckFailed:
    return CheckFailed(**attributes)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def _listed(names: Sequence[str], most: int = 6) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f'"{name}"' for name in names[:most]) + more


def _table(values: Mapping[str, Any], *, shapes: bool = True) -> list[str]:
    width = max(map(len, values), default=0)
    return [
        f"    {name:<{width}} = {described(value)}{_shape(value) if shapes else ''}" for name, value in values.items()
    ]


def _shape(value: Any) -> str:
    return f"  # {list(value.shape)}" if isinstance(value, np.ndarray) else ""


def described(value: Any, most: int = 24) -> str:
    """Return values as Python writes them, with the fewest digits that identify a float32 number."""
    if isinstance(value, np.ndarray):
        if value.size > most:
            return f"{described(value.ravel()[:most])[:-1]}, ...]  ({value.size} elements)"
        return described(value.tolist())
    if isinstance(value, list):
        return "[" + ", ".join(described(item) for item in value) + "]"
    if isinstance(value, float):
        short = f"{value + 0.0:.6g}"  # + 0.0 turns -0 into 0
        return short if np.float32(short) == np.float32(value) else f"{value:.9g}"
    return str(value)


def first_difference(name: str, got: Array, expected: Array, wrong: Array) -> str:
    """Return a sentence about the first wrong element of a result."""
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    place = f"{name}{list(index)}" if index else name
    count = int(np.count_nonzero(wrong))
    others = f" ({count} of {wrong.size} elements are wrong)" if count > 1 else ""
    return f"{place} is {described(float(got[index]))}, expected {described(float(expected[index]))}{others}"
