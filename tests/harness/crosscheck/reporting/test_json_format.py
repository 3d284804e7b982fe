from __future__ import annotations

import dataclasses
import json

import pytest

from harness.crosscheck.explaining.explanation import RuledOut
from harness.crosscheck.reporting.json_format import as_json
from harness.crosscheck.reporting.results import Crosscheck
from tests.harness.crosscheck.reporting.sample_results import DIFFERENT, EXPLAINED, ROUNDING, SAME, cross_check

SIMPLE, WHOLE = cross_check(SAME), cross_check(DIFFERENT, explanation=EXPLAINED, reproduced=(1, 1))


@pytest.mark.parametrize("result", [SIMPLE, cross_check(ROUNDING), WHOLE])
def test_a_result_survives_json(result: Crosscheck) -> None:
    data = as_json(result)

    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert (data["format"], data["subject"], data["verdict"]) == (1, "my.ppo:PPO", result.verdict)
    (run,) = data["runs"]
    assert (run["env"], run["seed"]) == ("CartPole15", result.runs[0].seed)


def test_json_has_no_infinities_and_no_places() -> None:
    data = as_json(WHOLE)

    assert data["runs"][0]["largest"] == [[1, 0, 1e-8], [1, 1, None]]
    assert data["runs"][0]["our_line"]["line"] == 12
    assert data["explanation"]["deviations"] == [["value_loss_halved"]]
    assert "scores" not in data["explanation"]


def test_the_keys_of_format_1_are_these() -> None:
    data = as_json(WHOLE)
    run = data["runs"][0]

    assert list(data) == [
        *("format", "subject", "reference", "profile", "verdict", "runs", "explanation", "verified", "seconds"),
        *("from_same_weights", "trouble"),
    ]
    assert list(run) == [
        *("env", "seed", "verdict", "first", "first_beyond_rounding", "our_line", "their_line", "faults", "largest"),
        *("n_compared", "n_minibatches", "optimizers", "notes", "harmless"),
    ]
    assert list(run["first"]) == [
        *("quantity", "meaning", "iteration", "step", "step_of_rollout", "epoch", "minibatch", "kind"),
        *("beyond_rounding", "size", "ratio", "element", "n_different", "n_elements", "ours", "theirs", "relation"),
    ]
    assert list(run["our_line"]) == ["file", "line", "function", "code", "operation", "of", "result"]
    assert list(data["explanation"]) == [
        *("verdict", "deviations", "early", "touching", "silent", "n_candidates", "seconds", "exhausted"),
    ]


def test_deviations_that_were_tried_in_vain_stand_under_their_keys() -> None:
    found = dataclasses.replace(EXPLAINED, ruled_out=RuledOut(earlier=("a",), here=("b",), untestable=("c",)))

    data = as_json(cross_check(DIFFERENT, explanation=found))["explanation"]

    assert (data["early"], data["touching"], data["silent"]) == (["a"], ["b"], ["c"])


def test_a_second_cross_check_stands_below_the_first() -> None:
    data = as_json(cross_check(DIFFERENT, from_same_weights=WHOLE))["from_same_weights"]

    assert "format" not in data
    assert data["explanation"]["verdict"] == "explained exactly"
