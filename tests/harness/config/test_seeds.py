from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config.documents import PlacedError, parse_document
from harness.config.seeds import parse_seeds, read_seeds

Check = Callable[..., list[str]]


def seeds(text: str) -> tuple[int, ...]:
    problems: list[PlacedError] = []
    read = read_seeds(parse_document(text, "a.yml").root, problems)
    assert problems == []
    return read


@given(st.integers(0, 10**6), st.integers(0, 50))
def test_a_range_of_seeds_holds_both_its_ends(first: int, more: int) -> None:
    assert seeds(f"{first}-{first + more}") == tuple(range(first, first + more + 1))


@given(st.lists(st.integers(0, 2**31), min_size=1, unique=True))
def test_a_list_of_seeds_keeps_its_order(listed: list[int]) -> None:
    assert seeds(str(listed)) == tuple(listed)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", (0, 1, 2, 3, 4)),
        ("7-7", (7,)),
        ("7,", (7,)),
        ("3-5", (3, 4, 5)),
        ("0,3, 7", (0, 3, 7)),
        ("[0, 3, 7]", (0, 3, 7)),
    ],
)
def test_seeds_on_the_command_line_mean_what_they_mean_in_a_file(text: str, expected: tuple[int, ...]) -> None:
    assert parse_seeds(text) == expected
    assert seeds(text) == expected if text != "7," else seeds("[7]") == expected


def test_a_count_of_seeds_starts_at_zero() -> None:
    assert seeds("3") == seeds("0-2") == seeds("[0, 1, 2]") == (0, 1, 2)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0", "seeds: expected a count >= 1, a range such as 0-9, or a list, got 0; the seed 0 alone is 0-0"),
        ("-3", "seeds: expected a count >= 1, a range such as 0-9, or a list, got -3"),
        ("true", "seeds: expected a count >= 1, a range such as 0-9, or a list, got true"),
        ("9-0", "seeds: the range 9-0 is empty, did you mean 0-9?"),
        ("0..9", 'seeds: expected a count >= 1, a range such as 0-9, or a list, got the text "0..9"'),
        ("0-999999999", "seeds: expected at most 10,000 seeds, none above 4294867295"),
        ("4294967295-4294967296", "seeds: expected at most 10,000 seeds, none above 4294867295"),
        ("1e300", "seeds: expected an integer >= 1, got a number of too many digits"),
        ("[]", "seeds: expected at least one seed, got an empty list"),
        ("[0, 1, 0]", "seeds[2]: the seed 0 is given twice"),
        ("[0, -1]", "seeds[1]: expected an integer in [0, 4294867295], got -1"),
        ("[0, 1.5]", "seeds[1]: expected an integer in [0, 4294867295], got 1.5"),
        ("1, 2, 1", "seeds: the seed 1 is given twice"),
        ("{a: 1}", "seeds: expected a count >= 1, a range such as 0-9, or a list, got a mapping"),
    ],
)
def test_invalid_seeds_are_refused(check: Check, value: str, message: str) -> None:
    assert check(seeds=value) == [f"a.yml:4: {message}"]
