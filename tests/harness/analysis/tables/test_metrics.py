from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from harness.analysis.frames import Results, load_results
from harness.analysis.tables import (
    METRICS,
    Estimate,
    Metric,
    Shown,
    compare_scores,
    compare_stability,
    display_table,
    pairwise_table,
    run_metrics,
    stability_table,
    summary_table,
    table_notes,
)
from harness.analysis.tables.formats import interval, plain
from harness.analysis.tables.metrics import compared_in, named_estimates
from harness.analysis.tables.seed_estimates import mean_with_limits
from harness.config import ReferenceScores, StatisticsConfig
from tests.results_factory import make_record, make_spec, write_run

STABILITY = [
    "share_lost",
    *("deepest_fall", "fluctuation", "score_std", "seed_deviation"),
]
STATISTICS = StatisticsConfig(n_bootstrap=10, last_episodes=4, references={"CartPole-v1": ReferenceScores(0.0, 10.0)})


def test_names_of_metrics_columns_and_headers_are_unique() -> None:
    names = [metric.name for metric in METRICS]
    columns = [name for name, _, _ in named_estimates()]
    headers = [(shown.table, shown.header) for _, _, estimate in named_estimates() for shown in estimate.shown]

    for unique in (names, columns, headers):
        assert len(set(unique)) == len(unique)


def test_a_compared_metric_says_which_direction_is_better() -> None:
    assert [metric.name for metric in METRICS if metric.compared and metric.better is None] == []


def test_metrics_without_a_unit_are_compared_first() -> None:
    units = [metric.unit for metric in compared_in("stability")]
    names = [metric.name for metric in compared_in("stability")]

    assert units == sorted(units, key=bool)
    assert [name for name in names if name in STABILITY] == STABILITY


def first_row(name: str, table: pd.DataFrame) -> dict[str, str]:
    header, rows = display_table(name, table)
    return dict(zip(header, rows[0], strict=True))


def measured_lengths(**changes: object) -> Metric:
    """Return a metric that is not in the list: mean length of the training episodes, better if short."""
    return Metric(
        **{
            "name": "length",
            "title": "mean length",
            "unit": "steps",
            "better": "lower",
            "meaning": "mean length of the training episodes",
            "measure": lambda run: float(run.episodes["length"].mean()),
            **changes,
        }
    )


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Write and load six runs of ppo with episodes of 10 to 15 steps and six of a2c with 30 to 35."""
    for algo, length in (("ppo", 10), ("a2c", 30)):
        for seed in range(6):
            record = make_record(make_spec(algo, seed=seed), [float(seed)])
            write_run(tmp_path, record, episodes=[[(1.0, length + seed)] * 8])
    return load_results(tmp_path, algos=["ppo", "a2c"])


def test_a_metric_added_to_the_list_appears_in_every_table(monkeypatch: pytest.MonkeyPatch, results: Results) -> None:
    shown = (Shown("summary", "length of episodes", interval), Shown("terminal", "length", plain))
    estimate = Estimate(mean_with_limits, shown=shown, note="Length: {percent} t interval.")
    added = measured_lengths(estimates=(estimate,), compared="stability")
    monkeypatch.setattr("harness.analysis.tables.metrics.METRICS", (*METRICS, added))

    runs = run_metrics(results, STATISTICS)
    summary = summary_table(runs, STATISTICS)
    stability = stability_table(compare_stability(runs, STATISTICS)).set_index("measure")
    notes = table_notes(runs, STATISTICS)

    assert runs["length"].tolist() == [10, 11, 12, 13, 14, 15, 30, 31, 32, 33, 34, 35]
    assert summary["length"].tolist() == [12.5, 32.5]
    assert (summary["length_low"] < summary["length"]).all()
    assert first_row("summary", summary)["length of episodes"] == "12.5 [10.5, 14.5]"
    assert first_row("terminal", summary)["length"] == "12.5"
    assert stability.loc["mean length", ["first_mean", "second_mean", "steadier"]].tolist() == [12.5, 32.5, "ppo"]
    assert "Length: 95% t interval." in notes["summary"]
    assert "- mean length (lower is better): mean length of the training episodes." in notes["stability"]


def test_a_second_pairwise_metric_names_the_measure_and_has_its_direction(
    monkeypatch: pytest.MonkeyPatch, results: Results
) -> None:
    monkeypatch.setattr("harness.analysis.tables.metrics.METRICS", (*METRICS, measured_lengths(compared="pairwise")))

    table = pairwise_table(compare_scores(run_metrics(results, STATISTICS), STATISTICS), STATISTICS)

    header, rows = display_table("pairwise", table)
    score, length = (dict(zip(header, row, strict=True)) for row in rows)
    assert list(table)[:4] == ["env", "measure", "first", "second"]
    assert (length["measure"], length["first − second"][:3], length["first is"]) == ("mean length", "-20", "better")
    assert length["P(improvement)"].startswith("1 ")
    assert (score["measure"], score["first is"]) == ("final score", "inconclusive")
    margins = table.set_index("measure")["margin"]
    assert margins["final score"] == 1.0
    assert margins.isna()["mean length"]  # a margin is declared in units of return, which is not the unit of a length
