"""The claim that makes explanations exact: CustomPPO with a deviation trains to the bits of SB3 with that mistake."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from harness.catalogue.deviant import DeviantA2C, DeviantPPO
from harness.crosscheck.comparing.comparison import compare
from harness.crosscheck.tracing.construction import accepted_settings
from harness.crosscheck.tracing.modes import TracingMode
from harness.crosscheck.tracing.traced_run import trace_run
from tests.planted.subjects import mutants
from tests.planted.subjects.training import CASES, trained, weights

OTHER_FORMS = {
    "shared_hidden_layers": "the critic's layers are made and thrown away, so that other numbers are drawn",
    "returns_monte_carlo": "the sums are made in float64",
}
"""Planted bugs whose code rounds differently from the deviation of the same id."""

QUICK = """
    biases_keep_default adam_eps_1e-8 schedules_one_update_late log_prob_of_second_sample clipped_action_stored
    timeout_is_termination bootstrap_on_every_done last_values_zero gae_done_mask_missing_in_recursion
    shuffled_in_place flattened_by_time old_log_prob_recomputed_per_epoch surrogate_is_maximum
    advantages_normalised_per_rollout value_clip_pessimistic values_broadcast entropy_of_sampled_actions
    kl_stop_after_step kl_stop_ends_epoch_only gradients_clipped_per_network
    optimizer_forgets value_loss_halved__a2c
""".split()  # noqa: SIM905 - a table of quoted names reads worse

PLANTED = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name, mutant in mutants.MUTANTS.items()
    if mutant.deviation is not None and name not in OTHER_FORMS
]


def pair(name: str) -> tuple[Any, Any, dict[str, Any]]:
    """The mutant of SB3, the class with deviations, and their settings."""
    mutant = mutants.MUTANTS[name]
    case = CASES[mutant.env]
    deviant = DeviantA2C if mutant.algorithm == "A2C" else DeviantPPO
    theirs = getattr(mutants, name)
    return theirs, deviant, accepted_settings(theirs, {**case.settings, **mutant.settings})


@pytest.mark.parametrize("name", PLANTED)
def test_a_deviation_trains_to_the_bits_of_sb3_with_the_mistake_in_its_source(name: str) -> None:
    mutant = mutants.MUTANTS[name]
    theirs, ours, settings = pair(name)
    assert weights(trained(ours, mutant.env, deviations=mutant.deviation, **settings)) == weights(
        trained(theirs, mutant.env, **settings)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_every_number_on_the_way_is_the_same_too(name: str) -> None:
    mutant = mutants.MUTANTS[name]
    theirs, ours, settings = pair(name)
    case = dataclasses.replace(CASES[mutant.env], settings=settings)
    plain = trace_run(ours, case, 0, TracingMode.names_only())
    deviating = trace_run(ours, case, 0, TracingMode.names_only(plain), deviations=mutant.deviation)
    planted = trace_run(theirs, case, 0, TracingMode.subject(plain))
    assert compare(deviating, planted).first is None


def test_at_least_fifteen_are_held_against_sb3_in_every_run_of_the_tests() -> None:
    assert len({mutants.MUTANTS[name].deviation for name in QUICK}) >= 15
