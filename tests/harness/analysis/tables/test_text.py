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

ALL_SUFFIXES = ("csv", "parquet", "md", "tex")
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

    for_readers = [f"{name}.{suffix}" for name in ("summary", "pairwise", "stability") for suffix in ALL_SUFFIXES]
    assert [path.name for path in written] == ["runs.csv", "runs.parquet", *for_readers]
    assert (tmp_path / "new" / "summary.md").read_text().endswith("|\n\nWhat it means.\n")
    with (tmp_path / "new" / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row, expected in zip(rows, tables["summary"].to_dict("records"), strict=True):
        assert float(row["iqm_low"]) == expected["iqm_low"]
        assert float(row["mean_high"]) == expected["mean_high"]


def test_parquet_keeps_types_and_every_digit(tables: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    write_tables(tables, {}, tmp_path)

    for name, table in tables.items():
        read = pd.read_parquet(tmp_path / f"{name}.parquet")
        assert list(read.columns) == list(table.columns)
        for column in table.select_dtypes("number"):
            pd.testing.assert_series_equal(read[column], table[column])


def test_a_column_of_mixed_types_becomes_text_in_parquet(tmp_path: Path) -> None:
    write_tables({"runs": pd.DataFrame({"a": [1, "x", 2.5], "b": [True, False, True]})}, {}, tmp_path)

    read = pd.read_parquet(tmp_path / "runs.parquet")

    assert read["a"].tolist() == ["1", "x", "2.5"]
    assert read["b"].tolist() == [True, False, True]


def test_without_pyarrow_there_is_no_parquet(
    tables: dict[str, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    write_tables(tables, {}, tmp_path)

    assert list(tmp_path.glob("*.parquet")) == []


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
