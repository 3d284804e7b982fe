from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis.tables import (
    compare_scores,
    compare_stability,
    display_table,
    pairwise_table,
    stability_table,
    summary_table,
    write_tables,
)
from harness.analysis.tables.text import markdown
from harness.config import StatisticsConfig
from tests.harness.analysis.tables.conftest import MakeMetrics

STATISTICS = StatisticsConfig(n_bootstrap=100)


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


def test_a_summary_for_readers_has_intervals_and_the_number_of_seeds(tables: dict[str, pd.DataFrame]) -> None:
    header, rows = display_table("summary", tables["summary"])

    cells = dict(zip(header, rows[0], strict=True))
    # t interval of 1, 2, and 1 for the failed run: 4/3 -+ 4.303 * 1/3
    assert (cells["algorithm"], cells["seeds"], cells["mean score"]) == ("ppo", "2/3", "1.33 [-0.101, 2.77]")
    assert (cells["last episodes"], cells["steps"], cells["seconds"]) == ("1.5 ± 1.5", "100", "2")


def test_every_table_is_a_csv_with_all_digits_and_most_are_markdown(
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
