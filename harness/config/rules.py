"""Rules for single values: a description of the expected value, and the function that reads it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.config.documents import MAX_DIGITS, Located, PlacedError
from harness.errors import ConfigError, did_you_mean

__all__ = [
    "BOOLEAN",
    "MAPPING",
    "TEXT",
    "Range",
    "Rule",
    "describe",
    "expect_mapping",
    "integer",
    "matching",
    "number",
    "one_of",
    "optional",
    "read_fields",
    "read_value",
    "reject_unknown",
]


_UNDERSCORES = "^[-+]?[0-9][0-9_]*$"
"""Pattern of integers such as 50_000, which YAML 1.2, and with it most editors, takes for text."""

MAX_INTEGER = 10 ** (MAX_DIGITS - 1)
"""Largest integer: 1e300 would be written into experiment.yml with more digits than are read."""

MAX_UNKNOWN = 20
"""Largest number of unknown keys of one mapping that are reported one by one."""


@dataclass(frozen=True)
class Rule:
    """A rule for one value.

    read: returns the value normalised (1e6 as 1000000). It raises ValueError if the value is not as expected, or
    ConfigError for a message more precise than `expected`.
    """

    expected: str
    """Noun that completes the message "expected ...": "an integer >= 1"."""

    read: Callable[[Any], Any]

    schema: Mapping[str, Any] = field(default_factory=dict)
    """JSON schema of the accepted values, for editors; it may accept more than `read`."""

    def __call__(self, value: object) -> Any:
        """Return the normalised value; raise ConfigError without a place."""
        try:
            return self.read(value)
        except (ValueError, OverflowError):
            raise ConfigError(f"expected {self.expected}, got {describe(value)}") from None


def describe(value: object) -> str:
    """Return a short description of a value in the words of YAML: `the text "lin"`, `true`, `nothing`, `a list`."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return f'the text "{value if len(value) <= 40 else value[:37] + "..."}"' if value.isprintable() else "text"
        case int() if abs(value) >= 10**MAX_DIGITS:
            return "a number of too many digits"
        case int() | float():
            return f"{value!r}"
        case list():
            return "a list"
    return "a mapping"


@dataclass(frozen=True)
class Range:
    """Bounds of a number; `str` of it completes "a number ...": " >= 1", " in (0, 1]", or nothing."""

    at_least: float = -math.inf
    above: float = -math.inf
    at_most: float = math.inf
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        # Strict comparison with above and below: without bounds they are infinite, and infinity is refused.
        return self.at_least <= value <= self.at_most and self.above < value < self.below

    def schema(self, kind: str) -> dict[str, Any]:
        """Return the JSON schema of a number of this kind, "integer" or "number", within the bounds."""
        bounds = {
            "minimum": self.at_least,
            "exclusiveMinimum": self.above,
            "maximum": self.at_most,
            "exclusiveMaximum": self.below,
        }
        return {"type": kind, **{name: bound for name, bound in bounds.items() if math.isfinite(bound)}}

    def __str__(self) -> str:
        lower = f"({self.above}" if self.above > -math.inf else f"[{self.at_least}"
        upper = f"{self.below})" if self.below < math.inf else f"{self.at_most}]"
        if not upper.startswith("inf"):
            return f" in {lower}, {upper}"
        return "" if lower.endswith("inf") else lower.replace("(", " > ").replace("[", " >= ")


def integer(**bounds: float) -> Rule:
    """Return the rule for an integer within a `Range`: 1e6 and 1_000_000.0 are integers, 1.5 and true are not."""
    within = Range(**bounds)
    expected = f"an integer{within}"

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value not in within or value != int(value):
            raise ValueError
        if abs(value) > MAX_INTEGER:
            raise ConfigError(f"expected {expected}, got a number of too many digits")
        return int(value)

    return Rule(expected, read, {"anyOf": [within.schema("integer"), {"type": "string", "pattern": _UNDERSCORES}]})


def number(**bounds: float) -> Rule:
    """Return the rule for a finite number within a `Range`, kept as the int or float that was written."""
    within = Range(**bounds)

    def read(value: object) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float) or value not in within:
            raise ValueError
        return value

    return Rule(f"a number{within}", read, within.schema("number"))


def _of_type(kind: type) -> Callable[[Any], Any]:
    def read(value: object) -> object:
        if not isinstance(value, kind):
            raise ValueError
        return value

    return read


BOOLEAN = Rule("true or false", _of_type(bool), {"type": "boolean"})
TEXT = Rule("text", _of_type(str), {"type": "string"})
MAPPING = Rule("a mapping", _of_type(dict), {"type": "object"})


def optional(rule: Rule) -> Rule:
    """Return a rule that also accepts nothing (`null`, `~`, or an empty value)."""
    schema = {"anyOf": [{"type": "null"}, rule.schema]}
    return Rule(f"{rule.expected} or null", lambda value: None if value is None else rule.read(value), schema)


def one_of(*words: str) -> Rule:
    """Return the rule for one of several words."""

    def read(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError
        if value not in words:
            raise ConfigError(f"expected {' or '.join(words)}, got {describe(value)}{did_you_mean(value, words)}")
        return value

    return Rule(" or ".join(words), read, {"enum": list(words)})


def matching(pattern: str, expected: str, *, max_length: int = 200) -> Rule:
    """Return the rule for text of limited length that matches the whole regular expression in ASCII."""
    compiled = re.compile(pattern, flags=re.ASCII)

    def read(value: object) -> str:
        if isinstance(value, str) and len(value) > max_length:
            raise ConfigError(f"expected at most {max_length} characters, got {len(value)}")
        if not isinstance(value, str) or compiled.fullmatch(value) is None:
            raise ValueError
        return value

    return Rule(expected, read, {"type": "string", "pattern": f"^(?:{pattern})$", "maxLength": max_length})


def read_value(place: Located, rule: Rule, problems: list[PlacedError], default: Any = None) -> Any:
    """Return the value as the rule reads it; a mistake becomes a problem, and the default is returned."""
    try:
        return rule(place.value)
    except ConfigError as error:
        problems.append(place.placed(error))
        return default


def expect_mapping(place: Located, holding: str, problems: list[PlacedError]) -> bool:
    """Return True if the value is a mapping; else add a problem.

    holding: completes the message "expected a mapping ...": "of hyperparameters".
    """
    if not isinstance(place.value, dict):
        problems.append(place.error(f"expected a mapping {holding}, got {describe(place.value)}"))
    return isinstance(place.value, dict)


def reject_unknown(mapping: Located, known: Collection[str], problems: list[PlacedError]) -> None:
    """Add a problem for each key of the mapping that is not known."""
    unknown = [place for key, place in mapping.items() if key not in known]
    for place in unknown[:MAX_UNKNOWN]:
        hint = did_you_mean(str(place.path[-1]), known) or f", expected one of {', '.join(sorted(known))}"
        problems.append(place.error(f"unknown key{hint}"))
    if len(unknown) > MAX_UNKNOWN:
        problems.append(unknown[MAX_UNKNOWN].error(f"unknown key, and {len(unknown) - MAX_UNKNOWN - 1} more below"))


def read_fields(mapping: Located, rules: Mapping[str, Rule], problems: list[PlacedError]) -> dict[str, Any]:
    """Return the valid values of a mapping that has a rule for each key; the others become problems."""
    if not expect_mapping(mapping, f"of {', '.join(rules)}", problems):
        return {}
    reject_unknown(mapping, rules, problems)
    fields: dict[str, Any] = {}
    for key, place in mapping.items():
        if key in rules:
            try:
                fields[key] = rules[key](place.value)
            except ConfigError as error:
                problems.append(place.placed(error))
    return fields
