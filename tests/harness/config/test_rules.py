from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config.rules import BOOLEAN, MAPPING, TEXT, Range, Rule, describe, integer, matching, number, optional
from harness.errors import ConfigError


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({}, ""),
        ({"at_least": 1}, " >= 1"),
        ({"above": 0}, " > 0"),
        ({"above": 0, "at_most": 1}, " in (0, 1]"),
        ({"at_least": 0, "at_most": 1}, " in [0, 1]"),
        ({"above": 0, "below": 1}, " in (0, 1)"),
    ],
)
def test_a_range_is_written_in_mathematical_notation(bounds: dict[str, float], words: str) -> None:
    assert str(Range(**bounds)) == words


@given(st.integers())
def test_an_integer_written_as_a_float_is_that_integer(value: int) -> None:
    read = integer()(float(value)) if abs(value) < 2**53 else integer()(value)
    assert read == value
    assert type(read) is int


@given(st.floats())
def test_a_number_is_any_finite_float_and_nothing_else(value: float) -> None:
    if math.isfinite(value):
        assert number()(value) == value
    else:
        with pytest.raises(ConfigError):
            number()(value)


@pytest.mark.parametrize(
    ("rule", "value", "message"),
    [
        (integer(at_least=1), 0, "expected an integer >= 1, got 0"),
        (integer(at_least=1), 1.5, "expected an integer >= 1, got 1.5"),
        (integer(), True, "expected an integer, got true"),
        (integer(), "10", 'expected an integer, got the text "10"'),
        (integer(), math.inf, "expected an integer, got inf"),
        (number(above=0, at_most=1), 0, "expected a number in (0, 1], got 0"),
        (number(above=0, at_most=1), 1.0001, "expected a number in (0, 1], got 1.0001"),
        (number(above=0, below=1), 1, "expected a number in (0, 1), got 1"),
        (number(), math.nan, "expected a number, got nan"),
        (BOOLEAN, 1, "expected true or false, got 1"),
        (BOOLEAN, "True", 'expected true or false, got the text "True"'),
        (TEXT, None, "expected text, got nothing"),
        (MAPPING, [], "expected a mapping, got a list"),
        (optional(number()), "x", 'expected a number or null, got the text "x"'),
        (matching("[ab]+", "letters"), "abc", 'expected letters, got the text "abc"'),
        (matching("[ab]+", "letters"), "ab\n", "expected letters, got text"),
    ],
)
def test_a_rule_says_what_it_expected_and_what_it_got(rule: Rule, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rule(value)
    assert str(caught.value) == message


def test_a_number_keeps_its_type() -> None:
    assert [type(number()(value)) for value in (1, 1.0)] == [int, float]


def test_an_optional_rule_accepts_nothing() -> None:
    assert optional(integer())(None) is None
    assert optional(integer())(1e3) == 1000


@given(
    st.none() | st.booleans() | st.text() | st.floats() | st.lists(st.none()) | st.dictionaries(st.text(), st.none())
)
def test_a_description_is_one_short_line(value: object) -> None:
    assert describe(value).isprintable()
    assert len(describe(value)) < 60
