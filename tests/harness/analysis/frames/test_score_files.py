from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from harness.analysis.frames import load_results
from harness.analysis.frames.score_files import read_scores
from harness.errors import RecordError


def test_scores_in_csv_are_read_under_common_names_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("Method,task,run,return,steps\nppo,Pong,3,19.5,1e6\na2c,Pong,3,-2,\n\n")

    first, second = read_scores(path)

    assert (first.algo, first.env, first.seed, first.score, first.steps) == ("ppo", "Pong", 3, 19.5, 1_000_000)
    assert (second.algo, second.score, second.steps, second.where) == ("a2c", -2.0, 0, f"{path}:3")


def test_seeds_that_are_not_given_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("algo,env,score\nppo,Pong,1\na2c,Pong,2\nppo,Pong,3\n")

    assert [(given.algo, given.seed) for given in read_scores(path)] == [("ppo", 0), ("a2c", 0), ("ppo", 1)]


@pytest.mark.parametrize(
    "row", ["ppo,Pong,,", "ppo,Pong,nan,", "ppo,Pong,-inf,", "ppo,Pong,None,", "ppo,Pong,3,failed"]
)
def test_a_run_without_a_finite_score_has_failed(row: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(f"algo,env,score,status\n{row}\nppo,Pong,1,\n")

    runs = load_results(path).runs

    assert runs["status"].tolist() == ["failed", "foreign"]
    assert math.isnan(runs["score"][0])


def test_json_of_scores_is_one_algorithm_per_file(tmp_path: Path) -> None:
    for algo, scores in {"IRIS": [19.3, 18.5], "SPR": [-5.0, None]}.items():
        (tmp_path / f"{algo}.json").write_text(json.dumps({"Pong": scores, "Alien": [368.7]}, indent=4))

    runs = load_results(tmp_path).runs

    found = list(zip(runs["algo"], runs["env"], runs["seed"], runs["status"], strict=True))
    assert found == [
        ("IRIS", "Pong", 0, "foreign"),
        ("IRIS", "Pong", 1, "foreign"),
        ("IRIS", "Alien", 0, "foreign"),
        ("SPR", "Pong", 0, "foreign"),
        ("SPR", "Pong", 1, "failed"),
        ("SPR", "Alien", 0, "foreign"),
    ]
    assert set(runs.loc[runs["status"] == "foreign", "score_source"]) == {"given"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "algo,score\nppo,1\n", ":1: has no column env, expected the columns algo, env, score"),
        ("a.csv", "algo,env,score\nppo,Pong\n", ":2: has 2 cells, expected 3 as in the header"),
        ("a.csv", "algo,env,score\nppo,Pong,x\n", ":2: score is 'x', expected a number, or nothing for a failed run"),
        ("a.csv", "algo,env,seed,score\nppo,Pong,x,1\n", ":2: seed is 'x', expected a whole number"),
        ("a.csv", "algo,env,score\n,Pong,1\n", ":2: names no algorithm or no environment"),
        ("a.csv", "algo,env,score\n", ": holds no scores, expected the columns"),
        ("a.csv", "", ":1: has no column algo, expected the columns"),
        ("a.json", "{", ": cannot be read (Expecting property name"),
        ("a.json", "[1]", ': expected {"Pong": [19.3, 18.5], ...}'),
        ("a.json", '{"Pong": 3}', ": Pong: expected a list with a score for each run, got int"),
        ("a.json", "{" + '"a":{' * 5000, ": cannot be read ("),
    ],
)
def test_a_mistake_in_a_file_of_scores_is_one_line(name: str, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)

    with pytest.raises(RecordError) as error:
        load_results(path)

    assert str(error.value).startswith(f"{path}{message}")
    assert "\n" not in str(error.value)


def test_a_seed_that_is_given_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("algo,env,seed,score\nppo,Pong,0,1\nppo,Pong,0,2\n")

    with pytest.raises(RecordError, match=r"scores\.csv:3: holds ppo Pong seed 0, and so does .*scores\.csv:2"):
        load_results(path)


def test_a_single_log_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "0.monitor.csv").write_text("")

    with pytest.raises(RecordError, match="expected the folder of the run"):
        load_results(tmp_path / "0.monitor.csv")
