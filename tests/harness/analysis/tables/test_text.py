from __future__ import annotations

import csv
import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.tables import (
    compare_scores,
    compare_stability,
    display_table,
    pairwise_table,
    stability_table,
    summary_table,
    write_tables,
)
from harness.analysis.tables.text import markdown, number, p_value, seeds
from harness.config import StatisticsConfig
from tests.harness.analysis.tables.conftest import MakeMetrics

STATISTICS = StatisticsConfig(n_bootstrap=100)


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
def test_numbers_have_as_many_digits_as_people_need(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(math.nan, "–"), (0.00001, "<0.0001"), (0.0123, "0.012"), (1.0, "1")])
def test_a_p_value_is_never_zero(value: float, shown: str) -> None:
    assert p_value("p")({"p": value}) == shown


@pytest.mark.parametrize(("n_seeds", "n_runs", "shown"), [(10, 10, "10"), (9, 10, "9/10"), (0, 2, "0/2")])
def test_seeds_without_a_score_are_shown(n_seeds: int, n_runs: int, shown: str) -> None:
    assert seeds({"n_seeds": n_seeds, "n_runs": n_runs}) == shown


def test_markdown_is_aligned_and_its_pipes_are_escaped() -> None:
    assert markdown(["a|b", "c"], [["1", "long"], ["x|y|z", ""]]) == (
        "| a\\|b    | c    |\n|---------|------|\n| 1       | long |\n| x\\|y\\|z |      |\n"
    )


@pytest.fixture
def tables(make_metrics: MakeMetrics) -> dict[str, pd.DataFrame]:
    metrics = make_metrics({("A-v0", "ppo"): [1.0, 2.0, None], ("A-v0", "a2c"): [3.5, 7.0, 8.0]})
    return {
        "runs": metrics,
        "summary": summary_table(metrics, STATISTICS),
        "pairwise": pairwise_table(compare_scores(metrics, STATISTICS), STATISTICS),
        "stability": stability_table(compare_stability(metrics, STATISTICS)),
    }


def test_people_get_intervals_and_the_number_of_seeds(tables: dict[str, pd.DataFrame]) -> None:
    header, rows = display_table("summary", tables["summary"])

    cells = dict(zip(header, rows[0], strict=True))
    # t interval of 1 and 2: 1.5 -+ 12.706 * 0.5
    assert (cells["algorithm"], cells["seeds"], cells["mean score"]) == ("ppo", "2/3", "1.5 [-4.85, 7.85]")
    assert (cells["last episodes"], cells["steps"], cells["seconds"]) == ("1.5 ± 1.5", "100", "2")


def test_every_table_is_written_with_all_digits_and_most_for_people(
    tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    written = write_tables(tables, {"summary": "What it means."}, tmp_path / "new")

    assert [path.name for path in written] == [
        "runs.csv",
        "summary.csv",
        "summary.md",
        "pairwise.csv",
        "pairwise.md",
        "stability.csv",
        "stability.md",
    ]
    assert (tmp_path / "new" / "summary.md").read_text().endswith("|\n\nWhat it means.\n")
    with (tmp_path / "new" / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row, expected in zip(rows, tables["summary"].to_dict("records"), strict=True):
        assert float(row["iqm_low"]) == expected["iqm_low"]
        assert float(row["mean_high"]) == expected["mean_high"]


@pytest.mark.parametrize("name", ["pairwise", "stability"])
def test_a_table_without_rows_still_has_its_header(name: str, make_metrics: MakeMetrics, tmp_path: Path) -> None:
    alone = make_metrics({("A-v0", "ppo"): [1.0, 2.0]})
    table = {
        "pairwise": pairwise_table(compare_scores(alone, STATISTICS), STATISTICS),
        "stability": stability_table(compare_stability(alone, STATISTICS)),
    }[name]

    write_tables({name: table}, {}, tmp_path)

    assert pd.read_csv(tmp_path / f"{name}.csv").empty
    assert len((tmp_path / f"{name}.md").read_text().splitlines()) == 2
