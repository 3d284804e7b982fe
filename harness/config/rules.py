"""Rules for single values: what is expected, in words, and how to read it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from harness.config.documents import Located, PlacedError
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
    "optional",
    "read_fields",
    "read_value",
    "reject_unknown",
]


@dataclass(frozen=True)
class Rule:
    """Reads one value. read returns it normalised (1e6 as 1000000), raises ValueError when it is not as expected,
    or ConfigError when it has more to say than that.
    """

    expected: str
    """Completes the sentence "expected ...": "an integer >= 1"."""

    read: Callable[[Any], Any]

    def __call__(self, value: object) -> Any:
        """The value as the program uses it; raises ConfigError, without a place."""
        try:
            return self.read(value)
        except (ValueError, OverflowError):
            raise ConfigError(f"expected {self.expected}, got {describe(value)}") from None


def describe(value: object) -> str:
    """What was given, in the words of YAML and short: `the text "lin"`, `true`, `nothing`, `a list`."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return f'the text "{value if len(value) <= 40 else value[:37] + "..."}"' if value.isprintable() else "text"
        case int() | float():
            return f"{value!r}"
        case list():
            return "a list"
    return "a mapping"


@dataclass(frozen=True)
class Range:
    """Bounds of a number; `str` completes "a number ...": " >= 1", " in (0, 1]", or nothing."""

    at_least: float = -math.inf
    above: float = -math.inf
    at_most: float = math.inf
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        # Strict at both ends: what is within no bounds at all is still a finite number.
        return self.at_least <= value <= self.at_most and self.above < value < self.below

    def __str__(self) -> str:
        lower = f"({self.above}" if self.above > -math.inf else f"[{self.at_least}"
        upper = f"{self.below})" if self.below < math.inf else f"{self.at_most}]"
        if not upper.startswith("inf"):
            return f" in {lower}, {upper}"
        return "" if lower.endswith("inf") else lower.replace("(", " > ").replace("[", " >= ")


def integer(**bounds: float) -> Rule:
    """An integer within a `Range`; 1e6 and 1_000_000.0 count, 1.5 and true do not."""
    within = Range(**bounds)

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value not in within or value != int(value):
            raise ValueError
        return int(value)

    return Rule(f"an integer{within}", read)


def number(**bounds: float) -> Rule:
    """A finite number within a `Range`, kept as int or float as it was written."""
    within = Range(**bounds)

    def read(value: object) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float) or value not in within:
            raise ValueError
        return value

    return Rule(f"a number{within}", read)


def _of_type(kind: type) -> Callable[[Any], Any]:
    def read(value: object) -> object:
        if not isinstance(value, kind):
            raise ValueError
        return value

    return read


BOOLEAN = Rule("true or false", _of_type(bool))
TEXT = Rule("text", _of_type(str))
MAPPING = Rule("a mapping", _of_type(dict))


def optional(rule: Rule) -> Rule:
    """The rule, or nothing (`null`, `~`, or an empty value)."""
    return Rule(f"{rule.expected} or null", lambda value: None if value is None else rule.read(value))


def matching(pattern: str, expected: str) -> Rule:
    """Text that matches the regular expression as a whole."""

    def read(value: object) -> str:
        if not isinstance(value, str) or re.fullmatch(pattern, value) is None:
            raise ValueError
        return value

    return Rule(expected, read)


def read_value(place: Located, rule: Rule, problems: list[PlacedError], default: Any = None) -> Any:
    """The value as the rule reads it; on a mistake the default, and one more problem."""
    try:
        return rule(place.value)
    except ConfigError as error:
        problems.append(place.placed(error))
        return default


def expect_mapping(place: Located, holding: str, problems: list[PlacedError]) -> bool:
    """Whether the value is a mapping; a problem that says what it should hold where it is not."""
    if not isinstance(place.value, dict):
        problems.append(place.error(f"expected a mapping {holding}, got {describe(place.value)}"))
    return isinstance(place.value, dict)


def reject_unknown(mapping: Located, known: Collection[str], problems: list[PlacedError]) -> None:
    """One problem for each key of the mapping that is not among the known ones."""
    for key, place in mapping.items():
        if key not in known:
            hint = did_you_mean(key, known) or f", expected one of {', '.join(sorted(known))}"
            problems.append(place.error(f"unknown key{hint}"))


def read_fields(mapping: Located, rules: Mapping[str, Rule], problems: list[PlacedError]) -> dict[str, Any]:
    """The values of a mapping that has a rule for each key: the good ones; the others become problems."""
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
