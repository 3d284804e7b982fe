from __future__ import annotations

import dataclasses

import pytest
from rich.console import Console

from harness.crosscheck.explaining.explanation import RuledOut
from harness.crosscheck.explaining.scores import AT_ONCE, NO_DIVERGENCE, Score
from harness.crosscheck.quantities import ORDER, Place
from harness.crosscheck.reporting.rendering import as_text, seeds_in_words
from harness.crosscheck.reporting.results import Crosscheck
from tests.harness.crosscheck.reporting.sample_results import (
    DEVIATION,
    DIFFERENT,
    EXPLAINED,
    HALVED,
    ROUNDING,
    SAME,
    cross_check,
)


def shown(result: Crosscheck, width: int = 150) -> list[str]:
    """Lines of text with single spaces."""
    console = Console(width=width, record=True, quiet=True, color_system=None)
    with console.capture() as capture:
        console.quiet = False
        console.print(as_text(result, {DEVIATION.id: DEVIATION}), highlight=False)
    return [" ".join(line.split()) for line in capture.get().splitlines() if line.strip()]


def test_identical_runs_are_counted_and_nothing_else_is_shown() -> None:
    lines = shown(cross_check(SAME, dataclasses.replace(SAME, seed=1)))

    assert lines[0] == "subject my.ppo:PPO, reference ppo, profile stress, seeds 0-1"
    assert lines[3] == "CartPole15 2 2 0 0 2,400 12 none"
    assert lines[-1] == "identical: every bit of 2,400 arrays and 12 optimiser steps in 2 runs (3 s)"
    assert len(lines) == 5


def test_a_note_of_several_identical_runs_is_shown_once() -> None:
    note = "the subject takes no ent_coef: both are trained without it"
    noted = dataclasses.replace(SAME, notes=(note,))

    lines = shown(cross_check(noted, noted))

    assert [line for line in lines if "ent_coef" in line] == [
        "note: the subject takes no ent_coef: both are trained without it"
    ]


def test_rounding_is_shown_with_its_place() -> None:
    lines = shown(cross_check(SAME, ROUNDING))

    assert "First divergence (CartPole15, seed 1)" in lines
    assert "where iteration 1, step 3 of the rollout" in lines
    assert "first element environment 1 (1 of 2 elements differ)" in lines
    assert lines[-1] == "equal up to rounding in 2 runs, 1 of them identical (3 s)"


def test_a_divergence_has_both_sides_source_line_and_earlier_rounding() -> None:
    lines = shown(cross_check(SAME, ROUNDING, DIFFERENT))

    for line in (
        "CartPole15 3 1 1 1 3,600 18 value, iteration 1; value_loss, iteration 1",
        "First divergence (CartPole15, seed 2)",
        "where iteration 1, epoch 2, minibatch 1",
        "quantity value_loss: the critic's part of the loss, before vf_coef",
        "subject 0.25 0.5 times the reference's",
        "reference (ppo) 0.5",
        "line of subject ppo.py:12: loss = 0.5 * error[mask] reads batch_return",
        "optimiser of subject Adam(eps=1e-08)",
        "optimiser of reference Adam(eps=1e-05)",
        "rounding since value: iteration 1, step 3 of the rollout",
        "note the subject takes no gamma: the reference is given 0.98",
        "Faults found with the reference's inputs at every stage",
        "value_loss iteration 1, epoch 2, minibatch 1 0.5 times the reference's",
    ):
        assert line in lines
    assert lines[-1] == "different in 1 of 3 runs (3 s)"


def test_the_run_that_diverges_first_is_shown() -> None:
    later = dataclasses.replace(DIFFERENT, seed=7, first_beyond_rounding=dataclasses.replace(HALVED, iteration=2))

    assert "First divergence (CartPole15, seed 2)" in shown(cross_check(later, DIFFERENT))


def test_each_environment_has_its_row() -> None:
    lines = shown(cross_check(SAME, dataclasses.replace(SAME, env="Pen[0]"), dataclasses.replace(SAME, seed=5)))

    assert [line.split()[:3] for line in lines[3:5]] == [["CartPole15", "2", "2"], ["Pen[0]", "1", "1"]]
    assert lines[0].endswith("seeds 0, 5")


def test_many_faults_are_counted_and_the_first_twelve_listed() -> None:
    many = dataclasses.replace(DIFFERENT, faults=(HALVED,) * 14)

    lines = shown(cross_check(many))

    assert lines.count("value_loss iteration 1, epoch 2, minibatch 1 0.5 times the reference's") == 12
    assert "and 2 more (--json lists them)" in lines


def test_a_fault_that_no_operation_computes_is_called_not_found() -> None:
    missing = dataclasses.replace(HALVED, subject="not found among the operations", relation="")

    lines = shown(cross_check(dataclasses.replace(DIFFERENT, faults=(missing,))))

    assert "value_loss iteration 1, epoch 2, minibatch 1 not found among the operations" in lines


def test_an_explanation_has_mistake_remedy_source_and_reproduced_runs() -> None:
    lines = shown(cross_check(DIFFERENT, explanation=EXPLAINED, reproduced=(5, 5)))

    for line in (
        "Explanation: explained exactly (CustomPPO with this mistake equals the subject to the bit)",
        "mistake value_loss_halved: The value loss is halved [as in baselines]",
        "remedy leave the half out",
        "source openai/baselines#372",
        "reproduced 5 of 5 runs",
        "search 80 runs of CustomPPO in 12 s",
    ):
        assert line in lines


def test_mistakes_that_cannot_be_told_apart_are_alternatives() -> None:
    alike = dataclasses.replace(EXPLAINED, deviations=((DEVIATION.id, DEVIATION.id),))

    lines = shown(cross_check(DIFFERENT, explanation=alike))

    assert "or value_loss_halved: The value loss is halved [as in baselines]" in lines
    assert "these give the same values here and cannot be told apart" in lines


def test_a_partial_explanation_says_where_it_still_diverges() -> None:
    left = Place(64, 3, ORDER["gradient"])
    scores = (Score(NO_DIVERGENCE, NO_DIVERGENCE), Score(left, AT_ONCE))
    part = dataclasses.replace(EXPLAINED, verdict="partly explained", scores=scores)

    lines = shown(cross_check(DIFFERENT, explanation=part, reproduced=(1, 2)))

    assert "still diverges gradient, step 64 of training, minibatch 3 of the update" in lines


def test_without_an_explanation_it_is_said_what_was_ruled_out() -> None:
    nothing = dataclasses.replace(
        EXPLAINED,
        verdict="not explained",
        deviations=(),
        ruled_out=RuledOut(earlier=("a", "b"), here=("c",), untestable=("d",)),
        exhausted=False,
    )

    lines = shown(cross_check(DIFFERENT, explanation=nothing, reproduced=(0, 5)))

    for line in (
        "Explanation: not explained (no mistake of the catalogue reproduces the first divergence)",
        "ruled out mistakes that give another value: c",
        "ruled out 2 mistakes that change an earlier value, on which both sides agree",
        "not tested 1 mistakes without effect up to this divergence (--json lists them)",
        "search 80 runs of CustomPPO in 12 s; the time limit ended the search (--seconds raises it)",
    ):
        assert line in lines
    assert not any(line.startswith("reproduced") for line in lines)


def test_a_second_cross_check_from_equal_weights_follows_the_first() -> None:
    lines = shown(cross_check(DIFFERENT, explanation=EXPLAINED, from_same_weights=cross_check(SAME)))

    start = lines.index("Cross-check from the reference's initial weights (as with --copy-weights)")
    assert lines[start - 1] == "different in 1 of 1 run (3 s)"
    assert lines[-1].startswith("identical: every bit")


def test_the_reason_against_a_second_cross_check_is_given() -> None:
    lines = shown(cross_check(DIFFERENT, explanation=EXPLAINED, from_same_weights_error="the shapes differ"))

    assert lines[-1] == "no cross-check from the reference's initial weights: the shapes differ"


def test_options_are_suggested_where_initial_weights_differ() -> None:
    weights = dataclasses.replace(HALVED, quantity="initial_parameters")
    run = dataclasses.replace(DIFFERENT, first_beyond_rounding=weights)

    assert shown(cross_check(run))[-1].startswith("--copy-weights starts from the reference's initial weights")


def test_a_narrow_terminal_loses_nothing() -> None:
    text = " ".join(shown(cross_check(DIFFERENT), width=60))

    assert "error[mask]" in text
    assert "times the reference's" in text


@pytest.mark.parametrize(
    ("seeds", "words"), [([0], "0"), ([0, 1, 2], "0-2"), ([3, 4], "3-4"), ([0, 2], "0, 2"), ([0, 1, 5], "0, 1, 5")]
)
def test_consecutive_seeds_are_written_as_a_range(seeds: list[int], words: str) -> None:
    assert seeds_in_words(seeds) == words
