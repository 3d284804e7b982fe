from __future__ import annotations

import csv
import io
import json

from rich.console import Console

from harness.evaluation.command import MAX_PROBLEMS, csv_text, json_text, print_scores
from harness.evaluation.settings import EvaluationSettings, RunEvaluation
from tests.harness.evaluation.test_several_runs import evaluation

SETTINGS = EvaluationSettings(seeds=(3,), snapshot="best", deterministic=False)


def printed(*evaluations: RunEvaluation, settings: EvaluationSettings = SETTINGS) -> str:
    console = Console(file=io.StringIO(), width=120)
    print_scores(evaluations, settings, console)
    file = console.file
    assert isinstance(file, io.StringIO)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def test_the_table_has_a_row_per_algorithm_with_its_interval() -> None:
    text = printed(evaluation(0, 10.0, 30.0), evaluation(1, 24.0, 28.0), evaluation(0, 500.0, 500.0, algo="a2c"))

    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[:2] == ["3 of 3 runs evaluated: best model, 2 stochastic episodes each", "A-v0"]
    assert lines[3] == "algorithm runs mean over seeds 95% interval lowest highest"
    assert lines[5:7] == ["ppo 2 23.0 -15.1 to 61.1 20.0 26.0", "a2c 1 500.0 – 500.0 500.0"]


def test_runs_without_result_are_named_by_their_reason() -> None:
    broken = [evaluation(seed, error="the rotor\x1b[31m fell off") for seed in (1, 2)]

    lines = printed(evaluation(0, 1.0), *broken).splitlines()

    assert lines[0] == "1 of 3 runs evaluated: best model, 1 stochastic episodes each"
    assert lines[5].split()[:2] == ["ppo", "1/3"]
    assert lines[-1] == "no result: ppo A-v0 seeds 1, 2: the rotor [31m fell off"


def test_many_reasons_are_cut() -> None:
    text = printed(evaluation(0, 1.0), *(evaluation(n, error=f"reason {n}") for n in range(1, MAX_PROBLEMS + 4)))

    assert text.splitlines()[-1] == "... and 3 more reasons"
    assert text.count("no result: ") == MAX_PROBLEMS


def test_another_environment_is_in_the_title() -> None:
    assert "A-v0, evaluated in B-v0" in printed(evaluation(0, 1.0), settings=EvaluationSettings(env="B-v0"))


def test_json_has_settings_scores_and_episodes_without_nan() -> None:
    data = json.loads(
        json_text([evaluation(0, 1.0, 3.0), evaluation(1, error="failed")], SETTINGS), parse_constant=lambda _: 1 / 0
    )

    assert data["settings"]["seeds"] == [3]
    assert data["runs"][0]["rewards"] == [1.0, 3.0]
    assert (data["runs"][1]["score"], data["runs"][1]["error"]) == (None, "failed")
    assert data["scores"][0] == {
        "algo": "ppo",
        "env": "A-v0",
        "estimate": 2.0,
        "low": None,
        "high": None,
        "confidence": 0.95,
        "n": 1,
        "n_missing": 1,
        "method": "Student t",
    }


def test_csv_has_a_line_per_run_with_every_digit() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text([evaluation(0, 0.1, 0.2), evaluation(1, error="a\nb")], SETTINGS))))

    assert [(row["seed"], row["score"], row["error"]) for row in rows] == [
        ("0", repr((0.1 + 0.2) / 2), ""),
        ("1", "", "a b"),
    ]
    assert (rows[0]["model"], rows[0]["deterministic"], rows[0]["evaluated_in"]) == ("best", "False", "A-v0")
