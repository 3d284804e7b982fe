from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from harness.catalogue.deviation import Deviation
from harness.crosscheck.comparing.source_lines import SourceLine
from harness.crosscheck.explaining.search import Explanation
from harness.crosscheck.explaining.trials import END, START
from harness.crosscheck.quantities import ORDER, Place
from harness.crosscheck.reporting.findings import Finding
from harness.crosscheck.reporting.rendering import as_json, as_text, seeds_in_words
from harness.crosscheck.reporting.results import Crosscheck, RunResult

ROUNDED = Finding(
    quantity="value",
    meaning="V(s) while acting, [N]",
    iteration=1,
    step=3,
    step_of_rollout=3,
    epoch=None,
    minibatch=None,
    kind="value",
    beyond_rounding=False,
    size=1e-8,
    ratio=None,
    element="environment 1",
    n_different=1,
    n_elements=2,
    ours="0.1",
    theirs="0.10000001",
    relation="as far as another order of the same operations can move it",
)
HALVED = dataclasses.replace(
    ROUNDED,
    quantity="value_loss",
    meaning="the critic's part of the loss, before vf_coef",
    step=4,
    step_of_rollout=4,
    epoch=2,
    minibatch=1,
    beyond_rounding=True,
    size=0.5,
    ratio=0.5,
    element="",
    n_different=1,
    n_elements=1,
    ours="0.25",
    theirs="0.5",
    relation="0.5 times the reference's",
)
LINE = SourceLine("/src/ppo.py", 12, "train", "loss = 0.5 * error[mask]", "mul", ("batch_return",), 0.25)
SAME = RunResult(
    env="CartPole15",
    seed=0,
    verdict="identical",
    first=None,
    first_beyond_rounding=None,
    our_line=None,
    their_line=None,
    faults=(),
    largest=((1, 0, 0.0), (1, 1, 0.0)),
    n_compared=1200,
    n_minibatches=6,
    optimizers=None,
    notes=(),
)
ROUNDING = dataclasses.replace(SAME, seed=1, verdict="rounding", first=ROUNDED, largest=((1, 0, 1e-8), (1, 1, 1e-8)))
DIFFERENT = dataclasses.replace(
    SAME,
    seed=2,
    verdict="different",
    first=ROUNDED,
    first_beyond_rounding=HALVED,
    our_line=LINE,
    faults=(HALVED,),
    largest=((1, 0, 1e-8), (1, 1, np.inf)),
    optimizers=("Adam(eps=1e-08)", "Adam(eps=1e-05)"),
    notes=("the subject takes no gamma: the reference is given 0.98",),
)
DEVIATION = Deviation(
    id="value_loss_halved",
    description="The value loss is halved [as in baselines]",
    stage="value_loss",
    source="openai/baselines#372",
    remedy="leave the half out",
)
EXPLAINED = Explanation(
    verdict="explained exactly",
    deviations=(("value_loss_halved",),),
    scores=((END, END), (START, END)),
    early=(),
    touching=(),
    silent=(),
    n_candidates=80,
    seconds=12.4,
)


def answer(*runs: RunResult, **changes: Any) -> Crosscheck:
    worst = max((run.verdict for run in runs), key=["identical", "rounding", "different"].index)
    plain = Crosscheck("my.ppo:PPO", "ppo", "stress", worst, runs, None, None, 3.2)
    return dataclasses.replace(plain, **changes)


def shown(result: Crosscheck, width: int = 150) -> list[str]:
    """Lines of text with single spaces."""
    console = Console(width=width, record=True, quiet=True, color_system=None)
    with console.capture() as capture:
        console.quiet = False
        console.print(as_text(result, {DEVIATION.id: DEVIATION}), highlight=False)
    return [" ".join(line.split()) for line in capture.get().splitlines() if line.strip()]


def test_identical_runs_are_counted_and_nothing_more_is_said() -> None:
    lines = shown(answer(SAME, dataclasses.replace(SAME, seed=1)))

    assert lines[0] == "my.ppo:PPO beside ppo: profile stress, seeds 0-1"
    assert lines[3] == "CartPole15 2 2 0 0 2,400 12 none"
    assert lines[-1] == "identical: every bit of 2,400 arrays and 12 optimiser steps in 2 runs (3 s)"
    assert len(lines) == 5


def test_what_an_identical_answer_rests_on_is_said_once() -> None:
    note = "the subject takes no ent_coef: both are trained without it"
    noted = dataclasses.replace(SAME, notes=(note,))

    lines = shown(answer(noted, noted))

    assert [line for line in lines if "ent_coef" in line] == [f"note: {note}"]


def test_rounding_is_told_with_its_place() -> None:
    lines = shown(answer(SAME, ROUNDING))

    assert "First difference (CartPole15, seed 1)" in lines
    assert "where iteration 1, step 3 of the rollout" in lines
    assert "first at environment 1 (1 of 2 differ)" in lines
    assert lines[-1] == "equal up to rounding in 2 runs, 1 of them identical (3 s)"


def test_a_difference_is_told_with_both_sides_its_line_and_what_came_before() -> None:
    lines = shown(answer(SAME, ROUNDING, DIFFERENT))

    for line in (
        "CartPole15 3 1 1 1 3,600 18 value, iteration 1; value_loss, iteration 1",
        "First difference (CartPole15, seed 2)",
        "where iteration 1, epoch 2, minibatch 1",
        "what value_loss: the critic's part of the loss, before vf_coef",
        "subject 0.25 0.5 times the reference's",
        "ppo 0.5",
        "subject's line ppo.py:12: loss = 0.5 * error[mask] of batch_return",
        "optimisers subject Adam(eps=1e-08), ppo Adam(eps=1e-05)",
        "before that rounding, first in value: iteration 1, step 3 of the rollout",
        "note the subject takes no gamma: the reference is given 0.98",
        "Stages that go wrong even with right inputs",
        "value_loss iteration 1, epoch 2, minibatch 1 0.5 times the reference's",
    ):
        assert line in lines
    assert lines[-1] == "different in 1 of 3 runs (3 s)"


def test_of_several_runs_the_one_that_parts_first_is_shown() -> None:
    later = dataclasses.replace(DIFFERENT, seed=7, first_beyond_rounding=dataclasses.replace(HALVED, iteration=2))

    assert "First difference (CartPole15, seed 2)" in shown(answer(later, DIFFERENT))


def test_each_environment_has_its_row() -> None:
    lines = shown(answer(SAME, dataclasses.replace(SAME, env="Pen[0]"), dataclasses.replace(SAME, seed=5)))

    assert [line.split()[:3] for line in lines[3:5]] == [["CartPole15", "2", "2"], ["Pen[0]", "1", "1"]]
    assert lines[0].endswith("seeds 0, 5")


def test_a_cause_is_told_with_its_remedy_and_source() -> None:
    lines = shown(answer(DIFFERENT, explanation=EXPLAINED, verified=(5, 5)))

    for line in (
        "Cause: explained exactly",
        "value_loss_halved: The value loss is halved [as in baselines]",
        "to be like ppo: leave the half out",
        "openai/baselines#372",
        "together they reproduce 5 of 5 runs",
        "80 runs of CustomPPO in 12 s",
    ):
        assert line in lines


def test_of_a_part_of_the_causes_it_is_told_how_far_it_goes() -> None:
    left = Place(64, 3, ORDER["gradient"])
    part = dataclasses.replace(EXPLAINED, verdict="partly explained", scores=((END, END), (left, START)))

    text = " ".join(shown(answer(DIFFERENT, explanation=part, verified=(1, 2))))

    assert "goes along until gradient, step 64 of training, minibatch 3 of the update" in text


def test_without_a_cause_what_is_ruled_out_is_told() -> None:
    nothing = dataclasses.replace(
        EXPLAINED,
        verdict="not explained",
        deviations=(),
        early=("a", "b"),
        touching=("c",),
        silent=("d",),
        exhausted=False,
    )

    text = " ".join(shown(answer(DIFFERENT, explanation=nothing, verified=(0, 5))))

    assert "Cause: not explained" in text
    assert "none of those that would change this number: c" in text
    assert "nor of 2 that would have shown before" in text
    assert "time was up before everything was tried (--seconds gives more)" in text
    assert "reproduce" not in text

    alone = dataclasses.replace(nothing, touching=())
    assert "it is none of 2 that would have shown before" in " ".join(shown(answer(DIFFERENT, explanation=alone)))


@pytest.mark.parametrize("result", [answer(SAME), answer(ROUNDING), answer(DIFFERENT, explanation=EXPLAINED)])
def test_the_answer_survives_json(result: Crosscheck) -> None:
    data = as_json(result)

    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert (data["format"], data["subject"], data["verdict"]) == (1, "my.ppo:PPO", result.verdict)
    (run,) = data["runs"]
    assert (run["env"], run["seed"]) == ("CartPole15", result.runs[0].seed)


def test_json_has_no_infinities_and_no_places() -> None:
    data = as_json(answer(DIFFERENT, explanation=EXPLAINED))

    assert data["runs"][0]["largest"] == [[1, 0, 1e-8], [1, 1, None]]
    assert data["runs"][0]["our_line"]["line"] == 12
    assert data["explanation"]["deviations"] == [["value_loss_halved"]]
    assert "scores" not in data["explanation"]


def test_a_narrow_terminal_loses_nothing() -> None:
    text = " ".join(shown(answer(DIFFERENT), width=60))

    assert "error[mask]" in text
    assert "times the reference's" in text


@pytest.mark.parametrize(
    ("seeds", "words"), [([0], "0"), ([0, 1, 2], "0-2"), ([3, 4], "3-4"), ([0, 2], "0, 2"), ([0, 1, 5], "0, 1, 5")]
)
def test_seeds_are_told_as_a_range_where_they_are_one(seeds: list[int], words: str) -> None:
    assert seeds_in_words(seeds) == words
