from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.tables.formats import Cell, interval, number, p_value, plain, seeds, with_spread


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15))
def test_a_number_reads_back_within_its_digits(value: float) -> None:
    shown = float(number(value).replace(",", ""))

    if abs(value) >= 1000:
        assert abs(shown - value) <= 0.5
    elif abs(value) < 1e-3:
        assert shown == pytest.approx(value, rel=0.051, abs=5e-324)
    else:
        assert shown == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, "–"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (0.0, "0"),
        (-1234567.8, "-1,234,568"),
        (195.73, "195.7"),
        (12.345, "12.3"),
        (0.12345, "0.123"),
        (0.00012345, "1.2e-04"),
    ],
)
def test_numbers_have_few_digits(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(math.nan, "–"), (0.00001, "<0.0001"), (0.0123, "0.012"), (1.0, "1")])
def test_a_p_value_is_never_zero(value: float, shown: str) -> None:
    assert p_value("p")({"p": value}) == shown


@pytest.mark.parametrize(("n_seeds", "n_runs", "shown"), [(10, 10, "10"), (9, 10, "9/10"), (0, 2, "0/2")])
def test_seeds_without_a_score_are_shown(n_seeds: int, n_runs: int, shown: str) -> None:
    assert seeds({"n_seeds": n_seeds, "n_runs": n_runs}) == shown


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (plain("x"), "1.5"),
        (plain("count"), "1,000"),
        (plain("word"), "ppo"),
        (interval("x"), "1.5 [1, 2]"),
        (interval("alone"), "3"),
        (with_spread("x")("alone"), "3 ± 1.5"),
    ],
)
def test_a_cell_shows_its_columns(cell: Cell, shown: str) -> None:
    nan = math.nan
    row = {"x": 1.5, "x_low": 1.0, "x_high": 2.0, "alone": 3.0, "alone_low": nan, "alone_high": nan}

    assert cell({**row, "count": 1000, "word": "ppo"}) == shown
