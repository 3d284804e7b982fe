from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer

from harness.crosscheck.api import crosscheck
from harness.crosscheck.reporting.findings import END_OF_TRAINING
from harness.errors import HarnessError
from tests.harness.crosscheck.subjects import HERE, FailsAtOnce, SmallSteps, Unmakeable, first_divergence, run_of


class ShortSighted(PPO):
    """Has a buffer with another lambda."""

    def _setup_model(self) -> None:
        super()._setup_model()
        self.rollout_buffer.gae_lambda = 1.0


class HalfReward(RolloutBuffer):
    def add(self, obs: Any, action: Any, reward: Any, *rest: Any) -> None:
        super().add(obs, action, reward * 0.5, *rest)


class Greedy(PPO):
    """Takes the most probable action."""

    def _setup_model(self) -> None:
        super()._setup_model()
        forward = self.policy.forward
        self.policy.forward = lambda obs, deterministic=False: forward(obs, deterministic=True)  # type: ignore[method-assign]


class Shifted(PPO):
    """Begins with another value of one weight."""

    def _setup_model(self) -> None:
        super()._setup_model()
        with torch.no_grad():
            self.policy.value_net.bias.add_(0.25)


class OneMoreEpoch(PPO):
    def train(self) -> None:
        self.n_epochs += 1
        super().train()


class ExtraDraw(PPO):
    def train(self) -> None:
        np.random.rand()  # noqa: NPY002
        super().train()


class Unclipped(PPO):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "max_grad_norm": 1e9})


class NoEntropy(PPO):
    def __init__(self, *args: Any, ent_coef: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class Frozen(PPO):
    """Does not train one weight."""

    def _setup_model(self) -> None:
        super()._setup_model()
        rest = [weight for name, weight in self.policy.named_parameters() if name != "value_net.bias"]
        self.policy.optimizer = torch.optim.Adam(rest, lr=1e-2, eps=1e-5)


@pytest.mark.parametrize(
    ("subject", "quantity", "where"),
    [
        (Shifted, "initial_parameters", "before the first step"),
        (Greedy, "action", "iteration 1, step 1 of the rollout"),
        (ShortSighted, "advantage", "iteration 1, step 32 of the rollout"),
        (ExtraDraw, "minibatch", "iteration 1, epoch 1, minibatch 1"),
        (NoEntropy, "loss", "iteration 1, epoch 1, minibatch 1"),
        (Unclipped, "clipped_gradient", "iteration 1, epoch 1, minibatch 1"),
        (SmallSteps, "parameters", "iteration 1, epoch 1, minibatch 1"),
        (Frozen, "clipped_gradient", "iteration 1, epoch 1, minibatch 1"),
        (OneMoreEpoch, "minibatch", "iteration 1, epoch 4, minibatch 1"),
    ],
)
def test_a_mistake_is_found_where_it_is_made(subject: Any, quantity: str, where: str) -> None:
    found = first_divergence(subject)

    assert (found.quantity, found.where) == (quantity, where)


def test_a_weight_that_differs_is_named() -> None:
    found = first_divergence(Shifted)

    assert (found.element, found.n_different, found.n_elements) == ("value_net.bias[0]", 1, 9155)


def test_unequal_settings_of_the_optimisers_are_reported() -> None:
    run = run_of(SmallSteps, updates=1)

    assert run.optimizers == ("Adam(betas=(0.9, 0.999), eps=1e-08)", "Adam(betas=(0.9, 0.999), eps=1e-05)")


class HalfRewardPPO(PPO):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "rollout_buffer_class": HalfReward})


class TwoMistakes(SmallSteps, HalfRewardPPO):
    """Has two mistakes, the second of which is hidden by the first."""


def test_a_mistake_behind_another_is_found_with_the_references_inputs() -> None:
    run = run_of(TwoMistakes, updates=1)

    assert run.first_beyond_rounding is not None
    assert run.first_beyond_rounding.quantity == "stored_reward"
    assert run.first_beyond_rounding.relation == "0.5 times the reference's, wherever it differs"
    assert [fault.quantity for fault in run.faults] == ["stored_reward", "parameters"]
    assert run_of(TwoMistakes, updates=1, resync=False).faults == ()


class Early(PPO):
    """Trains for half of the time."""

    def learn(self, total_timesteps: int, *args: Any, **kwargs: Any) -> Any:
        return super().learn(total_timesteps // 2, *args, **kwargs)


class Late(PPO):
    """Trains for three times as long as it should."""

    def learn(self, total_timesteps: int, *args: Any, **kwargs: Any) -> Any:
        return super().learn(total_timesteps * 3, *args, **kwargs)


class Idle(PPO):
    """Never learns."""

    def train(self) -> None: ...


class Lazy(PPO):
    """Never calls the environments."""

    def learn(self, *args: Any, **kwargs: Any) -> Any:
        return self


class FailsLater(PPO):
    def train(self) -> None:
        if self.num_timesteps > 64:
            raise SystemExit(3)
        super().train()


def raising_line(subject: type[Any]) -> int:
    code, start = inspect.getsourcelines(subject)
    return start + next(number for number, line in enumerate(code) if line.strip().startswith("raise"))


class NotANumber(PPO):
    def train(self) -> None:
        super().train()
        with torch.no_grad():
            self.policy.value_net.bias.fill_(torch.nan)


@pytest.mark.parametrize(
    ("subject", "quantity", "where", "relation"),
    [
        (Early, END_OF_TRAINING, "iteration 1, epoch 3, minibatch 3", ""),
        (Late, END_OF_TRAINING, "iteration 2, epoch 3, minibatch 3", ""),
        (
            Idle,
            "parameters",
            "iteration 1, epoch 1, minibatch 1",
            "the reference has a value here, the subject has none",
        ),
        (Lazy, END_OF_TRAINING, "before the first step", ""),
        (
            FailsAtOnce,
            END_OF_TRAINING,
            "iteration 1, step 32 of the rollout",
            f"the subject raised RuntimeError: out of order, at subjects.py:{raising_line(FailsAtOnce)}",
        ),
        (
            FailsLater,
            END_OF_TRAINING,
            "iteration 2, step 32 of the rollout",
            f"the subject raised SystemExit: 3, at test_different_subjects.py:{raising_line(FailsLater)}",
        ),
        (NotANumber, "value", "iteration 2, step 1 of the rollout", "not finite"),
    ],
)
def test_training_that_ends_at_the_wrong_time_is_reported(
    subject: Any, quantity: str, where: str, relation: str
) -> None:
    found = first_divergence(subject, "TightBounds", updates=2)

    assert (found.quantity, found.where, found.relation) == (quantity, where, relation)


def test_an_error_after_numbers_that_agree_is_not_explained() -> None:
    found = crosscheck(FailsLater, envs=("TightBounds",), seeds=(0,), updates=2, explain=True)

    assert (found.verdict, found.explanation) == ("different", None)
    assert found.runs[0].faults == ()


class Few(PPO):
    """Has fewer arguments than SB3's PPO."""

    def __init__(
        self,
        policy: Any,
        env: Any,
        learning_rate: Any = 3e-4,
        n_steps: int = 2048,
        batch_size: int = 64,
        n_epochs: int = 10,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        clip_range: Any = 0.2,
        vf_coef: float = 0.5,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            policy,
            env,
            learning_rate,
            n_steps,
            batch_size,
            n_epochs,
            gamma,
            gae_lambda,
            clip_range,
            vf_coef=vf_coef,
            seed=seed,
        )


class Fewer(PPO):
    def __init__(self, policy: Any, env: Any, n_steps: int = 2048, seed: int | None = None) -> None:
        super().__init__(policy, env, n_steps=n_steps, seed=seed, clip_range=lambda _: 0.1)


def test_an_optional_setting_that_the_subject_lacks_is_left_out_for_both() -> None:
    run = run_of(Few)

    assert run.verdict == "identical"
    assert run.notes == tuple(
        f"the subject takes no {name}: both are trained without it" for name in ("clip_range_vf", "ent_coef")
    )


def test_another_setting_that_the_subject_lacks_is_reported() -> None:
    run = run_of(Fewer, updates=1)

    assert run.verdict == "different"
    assert "the subject takes no gamma: the reference is given 0.98" in run.notes
    assert "the subject takes no clip_range: the reference is given a schedule" in run.notes


@pytest.mark.parametrize(
    ("subject", "options", "error"),
    [
        (Unmakeable, {}, f"{HERE}:Unmakeable cannot be made for CartPole15: ValueError: not"),
        (PPO, {"seeds": ()}, "seeds is empty: at least one is needed"),
        ("recurrent_ppo2", {}, "algorithm 'recurrent_ppo2' is not known, did you mean recurrent_ppo?"),
        (PPO, {"reference": "pppo"}, "algorithm 'pppo' is not known, did you mean ppo?"),
        (PPO, {"profile": "strss"}, "profile 'strss' is not known, did you mean stress?"),
        (PPO, {"envs": ("CartPol-v1",)}, "environment 'CartPol-v1' is not registered with gymnasium, did you mean"),
        ("dqn", {"envs": ("TightBounds",)}, "dqn cannot be made for TightBounds: AssertionError: The algorithm only"),
        (f"{HERE}:Nobody", {}, f"module {HERE} has no Nobody"),
        (
            "sac",
            {"reference": "sac", "envs": ("Pendulum20",)},
            "the reference sac makes no optimiser step in Pendulum20 (updates: 1)",
        ),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(subject: Any, options: dict[str, Any], error: str) -> None:
    with pytest.raises(HarnessError) as caught:
        crosscheck(subject, **{"envs": ("CartPole15",), "seeds": (0,), "updates": 1, **options})

    assert str(caught.value).startswith(error)
    assert "\n" not in str(caught.value)


def test_an_off_policy_subject_is_different_from_the_start() -> None:
    assert first_divergence("sac", "Pendulum20").where == "before the first step"
