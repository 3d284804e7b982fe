from __future__ import annotations

import pytest

from harness.crosscheck.comparing.intermediates import CHAINS, IMPLIED_INPUTS, INTERMEDIATES, SUMMANDS
from harness.crosscheck.quantities import ORDER, QUANTITIES, ancestors

POLICY = "batch_observation new_log_prob old_log_prob batch_advantage normalized_advantage ratio surrogate policy_loss"
IMPLIED = {
    "batch_observation": "",
    "new_value": "batch_observation",
    "new_log_prob": "batch_observation",
    "entropy": "batch_observation",
    "old_value": "",
    "old_log_prob": "",
    "batch_advantage": "",
    "batch_return": "",
    "normalized_advantage": "batch_advantage",
    "ratio": "new_log_prob old_log_prob",
    "surrogate": "batch_observation new_log_prob old_log_prob batch_advantage normalized_advantage ratio",
    "policy_loss": "batch_observation new_log_prob old_log_prob batch_advantage normalized_advantage ratio surrogate",
    "predicted_value": "batch_observation new_value old_value",
    "value_loss": "batch_observation new_value old_value batch_return predicted_value",
    "entropy_loss": "batch_observation entropy",
    "loss": "new_value entropy old_value batch_return predicted_value value_loss entropy_loss",
}
"""Intermediate -> intermediates that must be right if it is, written out."""


def names(ranks: frozenset[int]) -> set[str]:
    return {QUANTITIES[rank].name for rank in ranks}


def test_intermediates_lead_from_the_minibatchs_observations_to_the_loss() -> None:
    assert list(INTERMEDIATES) == list(IMPLIED)
    assert [ORDER[name] for name in INTERMEDIATES] == list(IMPLIED_INPUTS)


@pytest.mark.parametrize(("name", "implied"), IMPLIED.items())
def test_a_right_intermediate_implies_the_inputs_written_out_here(name: str, implied: str) -> None:
    assert names(IMPLIED_INPUTS[ORDER[name]]) == set(implied.split())


@pytest.mark.parametrize("name", INTERMEDIATES)
def test_nothing_is_implied_that_an_intermediate_does_not_depend_on(name: str) -> None:
    assert names(IMPLIED_INPUTS[ORDER[name]]) <= ancestors(name)


def test_the_whole_loss_implies_nothing_of_its_policy_term() -> None:
    assert names(IMPLIED_INPUTS[ORDER["loss"]]).isdisjoint(POLICY.split())


def test_chains_are_the_networks_each_term_of_the_loss_and_their_total() -> None:
    assert {chain: " ".join(sorted(found, key=ORDER.get)) for chain, found in CHAINS.items()} == {  # type: ignore[arg-type]
        "networks": "batch_observation new_value new_log_prob entropy",
        "policy_loss": "old_log_prob batch_advantage normalized_advantage ratio surrogate policy_loss",
        "value_loss": "old_value batch_return predicted_value value_loss",
        "entropy_loss": "entropy_loss",
        "total": "loss gradient",
    }


def test_every_intermediate_is_in_exactly_one_chain() -> None:
    in_chains = [name for found in CHAINS.values() for name in found]

    assert sorted(in_chains) == sorted((*INTERMEDIATES, "gradient"))


def test_sums_that_may_cancel_out_are_measured_by_their_summands() -> None:
    assert {
        ORDER["policy_loss"]: ("surrogate",),
        ORDER["loss"]: ("surrogate", "value_loss", "entropy_loss"),
    } == SUMMANDS
