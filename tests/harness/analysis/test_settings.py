from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.analysis.frames import load_results
from harness.analysis.settings import check_names, reading_of, statistics_of
from harness.config import ReferenceScores, StatisticsConfig
from harness.errors import HarnessError
from tests.results_factory import write_monitor


def test_options_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "statistics.yml"
    path.write_text("confidence: 0.9\nequivalence_margin: 0.2\nreferences: {A-v0: {random: 0, best: 1}}\n")

    statistics = statistics_of(path, margin=0.05, references=["B-v0=-3:7.5"], baseline="ppo")

    assert (statistics.confidence, statistics.equivalence_margin, statistics.baseline) == (0.9, 0.05, "ppo")
    assert statistics.references == {"A-v0": ReferenceScores(0, 1), "B-v0": ReferenceScores(-3.0, 7.5)}


def test_the_section_of_an_experiment_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "experiment.yml"
    path.write_text("name: x\nstatistics: {confidence: 0.9}\n")

    assert statistics_of(path).confidence == 0.9


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: statistics_of(None, confidence=3.0), "--confidence: is 3, expected"),
        (lambda: statistics_of(None, margin=float("nan")), "--margin: is nan, expected a share"),
        (lambda: statistics_of(None, references=["A"]), "--reference: is 'A', expected ENV=RANDOM:BEST"),
        (lambda: statistics_of(None, references=["A=5:5"]), "--reference: is 'A=5:5', expected"),
        (lambda: reading_of(None, "0", None), "--budget: is '0', expected a number of steps, or common"),
        (lambda: reading_of(None, None, "x"), "--score: is 'x', expected evaluations or episodes"),
        (lambda: reading_of("x", None, None), "--pattern: 'x' does not name each field once"),
    ],
)
def test_a_bad_option_is_one_line(act: Callable[[], object], message: str) -> None:
    with pytest.raises(HarnessError) as error:
        act()

    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_names_that_the_logs_do_not_have_are_told(tmp_path: Path) -> None:
    write_monitor(tmp_path / "ppo_seed0.monitor.csv", [(1.0, 1)])
    results = load_results(tmp_path)
    references = {"CartPole-v0": ReferenceScores(0, 1)}

    assert check_names(StatisticsConfig(references=references), results) == [
        "no run is in CartPole-v0, so that its reference scores are not used, did you mean CartPole-v1?"
    ]
    with pytest.raises(HarnessError, match="baseline pp: is no algorithm of these logs, did you mean ppo"):
        check_names(StatisticsConfig(baseline="pp"), results)
