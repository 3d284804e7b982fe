from __future__ import annotations

import torch
from stable_baselines3 import PPO

from harness.crosscheck.paired_runs import check_run, check_runs
from harness.crosscheck.recording import Pairing
from tests.harness.crosscheck.explaining.small_catalogue import Moved, sb3_with
from tests.harness.crosscheck.tracing.cases import CASE


class Scaled(PPO):
    """Scales all weights by one rounding error before every update, so that rounding grows."""

    def train(self) -> None:
        with torch.no_grad():
            for weight in self.policy.parameters():
                weight.mul_(1 + 1e-7)
        super().train()


def test_results_come_in_the_order_of_the_pairs() -> None:
    results = check_runs(Pairing("ppo", "ppo"), [(CASE, 1), (CASE, 0)])

    assert [(run.env, run.seed, run.verdict) for run in results] == [
        (CASE.env, 1, "identical"),
        (CASE.env, 0, "identical"),
    ]


def test_a_fed_run_isolates_the_fault_unless_it_is_switched_off() -> None:
    subject = sb3_with(gae_lambda=1.0)
    with_faults, without = (
        check_runs(Pairing(subject, "ppo", isolate_faults=isolate), [(CASE, 0)])[0] for isolate in (True, False)
    )

    assert [fault.quantity for fault in with_faults.faults] == ["advantage", "return"]
    assert (without.faults, without.verdict) == ((), "different")


def test_growing_rounding_is_not_called_a_difference() -> None:
    found = check_run(Scaled, "ppo", CASE, 0)

    assert found.verdict == "rounding"
    assert found.first is not None
    assert not found.first.beyond_rounding


def test_unequal_optimisers_are_reported_with_their_settings() -> None:
    changed = sb3_with(policy_kwargs={"optimizer_kwargs": {"eps": 1e-7}})

    optimizers = check_run(changed, "ppo", CASE, 0).optimizers

    assert optimizers is not None
    assert ["eps=1e-07" in one for one in optimizers] == [True, False]
    assert check_run(Moved, "ppo", CASE, 0).optimizers is None
