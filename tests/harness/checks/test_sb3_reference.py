"""Expected results come from SB3's running code: a change of SB3 changes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.distributions import CategoricalDistribution
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch.nn import functional

from custom_ppo.distributions import Categorical
from custom_ppo.gae import gae
from custom_ppo.losses import clipped_surrogate, normalize_advantages, value_loss
from harness.checks import sb3_reference as sb3
from harness.crosscheck import check_clipped_loss, check_gae, check_log_prob, check_value_loss
from tests.harness.checks.failures import failure


def test_another_buffer_of_sb3_gives_other_advantages(monkeypatch: pytest.MonkeyPatch) -> None:
    original = RolloutBuffer.compute_returns_and_advantage

    def without_last_values(self: Any, last_values: torch.Tensor, dones: Any) -> None:
        original(self, 0 * last_values, dones)

    monkeypatch.setattr(RolloutBuffer, "compute_returns_and_advantage", without_last_values)
    assert failure(check_gae, gae).finding.kind == "number"
    assert check_gae(lambda *a, **k: gae(*a[:3], 0 * a[3], a[4], **k), tolerance="exact").bit_equal


def test_another_collection_of_sb3_gives_other_advantages_with_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {
        "rewards": np.ones((1, 1), np.float32),
        "values": np.zeros((1, 1), np.float32),
        "last_values": np.full(1, 7, np.float32),
        "terminal_values": np.full((1, 1), 4, np.float32),
        "terminations": np.zeros((1, 1), bool),
        "truncations": np.ones((1, 1), bool),
        "gamma": 0.5,
        "gae_lambda": 0.5,
    }
    advantages, returns = sb3.advantages_with_timeouts(**numbers)
    assert advantages.tolist() == returns.tolist() == [[1 + 0.5 * 4]]

    original = OnPolicyAlgorithm.collect_rollouts

    def undiscounted(self: Any, *arguments: Any, **settings: Any) -> bool:
        self.gamma = 1.0
        return original(self, *arguments, **settings)

    monkeypatch.setattr(OnPolicyAlgorithm, "collect_rollouts", undiscounted)
    assert sb3.advantages_with_timeouts(**numbers)[0].tolist() == [[1 + 4]]


def test_another_update_of_sb3_gives_other_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    def ours(values: Any, old_values: Any, returns: Any, clip: float | None) -> Any:
        return value_loss(returns, values if clip is None else old_values + (values - old_values).clip(-clip, clip))

    assert check_value_loss(ours, tolerance="exact").bit_equal
    monkeypatch.setattr("stable_baselines3.ppo.ppo.F.mse_loss", functional.l1_loss)
    assert failure(check_value_loss, lambda v, old, r, c: ((r - v) ** 2).mean()).finding.kind == "number"
    monkeypatch.setattr(torch, "min", torch.max)
    assert failure(check_clipped_loss, pessimistic).finding.text.startswith("loss is -")


def pessimistic(new: torch.Tensor, old: torch.Tensor, a: torch.Tensor, clip: float) -> torch.Tensor:
    ratio = torch.exp(new - old)
    return -torch.minimum(ratio * a, ratio.clip(1 - clip, 1 + clip) * a).mean()


def test_another_distribution_of_sb3_gives_other_log_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CategoricalDistribution, "log_prob", lambda self, a: 2 * self.distribution.log_prob(a))
    hint = failure(check_log_prob, lambda logits, a: Categorical(logits).log_prob(a), "categorical").hint
    assert hint == "log_prob everywhere 0.5 times what was expected"


def test_the_losses_are_those_that_train_logs_with_everything_at_once() -> None:
    rng = np.random.default_rng(0)
    names = ("log_prob", "old_log_prob", "advantages", "values", "old_values", "returns", "entropy")
    arrays = {name: rng.normal(size=9).astype(np.float32) for name in names}
    done = sb3.update(**arrays, clip_range=0.3, clip_range_vf=0.2, ent_coef=0.1, vf_coef=0.7, normalize_advantage=True)

    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    advantages = normalize_advantages(tensors["advantages"])
    surrogate = clipped_surrogate(tensors["log_prob"], tensors["old_log_prob"], advantages, 0.3)
    assert done.policy_loss == -surrogate.mean().item()
    assert done.entropy_loss == -tensors["entropy"].mean().item()
    assert done.loss == pytest.approx(done.policy_loss + 0.1 * done.entropy_loss + 0.7 * done.value_loss)
    np.testing.assert_allclose(done.gradients["entropy"], np.full(9, -0.1 / 9), rtol=1e-6)


def test_one_update_leaves_nothing_for_the_next() -> None:
    one = np.ones(3, np.float32)
    numbers = {"log_prob": 0.1 * one, "old_log_prob": 0 * one, "advantages": one}
    first = sb3.update(**numbers)
    others = {"clip_range": 0.01, "clip_range_vf": 0.1, "ent_coef": 1.0, "vf_coef": 1.0, "normalize_advantage": True}
    sb3.update(**numbers, values=one, returns=2 * one, entropy=one, **others)
    again = sb3.update(**numbers)

    assert (again.policy_loss, again.value_loss, again.loss) == (first.policy_loss, 0.0, first.loss)
    np.testing.assert_array_equal(again.gradients["log_prob"], first.gradients["log_prob"])
    assert not again.gradients["values"].any()


def test_minibatches_come_in_order() -> None:
    numbers = np.arange(50, dtype=np.float32)
    gradients = sb3.update(log_prob=0 * numbers, old_log_prob=0 * numbers, advantages=numbers).gradients
    np.testing.assert_allclose(gradients["log_prob"], -numbers / 50, rtol=1e-6)


def test_the_trainer_is_sb3s_ppo() -> None:
    assert type(sb3._trainer()) is PPO
    assert type(sb3._trainer()).train is PPO.train
