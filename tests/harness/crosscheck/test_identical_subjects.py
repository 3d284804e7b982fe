from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3 import A2C, PPO
from torch import nn

from custom_ppo import CustomA2C, CustomPPO
from harness.crosscheck.api import crosscheck
from harness.crosscheck.profiles import Case, Profile
from harness.crosscheck.tracing.randomness import randomness_digest
from tests.harness.crosscheck.subjects import Autograd, Plain, SmallSteps, run_of
from tests.planted.subjects.standalone import StandalonePPO


@pytest.mark.parametrize("subject", [PPO, Plain, CustomPPO, Autograd])
@pytest.mark.parametrize("env", ["TightBounds", "CartPole15", "ManySwitches", "Pendulum20"])
def test_an_algorithm_that_trains_like_ppo_is_identical(subject: Any, env: str) -> None:
    run = run_of(subject, env)

    assert (run.verdict, run.first, run.faults, run.optimizers, run.notes) == ("identical", None, (), None, ())
    assert {size for _, _, size in run.largest} == {0.0}
    assert run.n_compared > 500
    assert run.n_minibatches > 2


@pytest.mark.parametrize("subject", [A2C, CustomA2C])
@pytest.mark.parametrize("env", ["TightBounds", "CartPole15"])
def test_an_algorithm_that_trains_like_a2c_is_identical_to_a2c(subject: Any, env: str) -> None:
    run = run_of(subject, env, "a2c")

    assert (run.verdict, run.n_minibatches) == ("identical", 2)


def test_any_algorithm_can_be_a_reference() -> None:
    assert run_of("trpo", reference="trpo", updates=1).verdict == "identical"
    assert run_of("dqn", reference="dqn").verdict == "identical"


def test_a_recurrent_ppo_is_identical_to_itself() -> None:
    class Same(RecurrentPPO): ...

    small = {"n_steps": 8, "batch_size": 8, "n_epochs": 1, "policy_kwargs": {"lstm_hidden_size": 8}}
    profile = Profile("small", "small", (Case("CartPole15", small, n_updates=1),))

    assert crosscheck(Same, "recurrent_ppo", profile=profile, seeds=(0,)).identical


class WithAverage(PPO):
    """Keeps a copy of its weights, and an optimiser that it never uses."""

    def _setup_model(self) -> None:
        super()._setup_model()
        self.average = deepcopy(self.policy)
        self.spare = torch.optim.SGD(self.policy.parameters())


class WithCuriosity(PPO):
    """Trains another network besides its policy."""

    def _setup_model(self) -> None:
        super()._setup_model()
        states = torch.get_rng_state()
        self.curiosity = nn.Linear(2, 2)
        torch.set_rng_state(states)
        self.other = torch.optim.Adam(self.curiosity.parameters())

    def train(self) -> None:
        super().train()
        self.curiosity(torch.ones(2)).sum().backward()
        self.other.step()


@pytest.mark.parametrize("subject", [WithAverage, WithCuriosity])
def test_additional_networks_and_optimisers_are_not_compared(subject: Any) -> None:
    run = run_of(subject)

    assert (run.verdict, run.optimizers) == ("identical", None)


class Together:
    """Several optimisers that step as one."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.parts = optimizers

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad()

    def step(self) -> None:
        for part in self.parts:
            part.step()


class CriticFirst(StandalonePPO):
    """Has the critic before the actor, and an optimiser for each."""

    def make_networks(self, n_inputs: int) -> None:
        super().make_networks(n_inputs)
        actor, critic = self.__dict__.pop("actor"), self.__dict__.pop("critic")
        self.critic, self.actor = critic, actor
        weights = [*critic.parameters()], [*self.heads.parameters(), *actor.parameters()]
        self.optimizer: Any = Together(*(torch.optim.Adam(part, eps=1e-5) for part in weights))


@pytest.mark.parametrize("subject", [StandalonePPO, CriticFirst])
@pytest.mark.parametrize("env", ["TightBounds", "ManySwitches"])
def test_a_ppo_without_sb3s_code_is_compared_down_to_its_gradients(subject: Any, env: str) -> None:
    run = run_of(subject, env)

    assert (run.verdict, run.notes) == ("identical", ())
    assert run.n_minibatches > 2


class Hidden:
    """Trains with an optimiser that cannot be found: only its calls of the environments are compared."""

    def __init__(self, policy: Any, env: Any, **settings: Any) -> None:
        self.arguments = policy, env, settings

    def learn(self, n_steps: int) -> None:
        policy, env, settings = self.arguments
        PPO(policy, env, **settings).learn(n_steps)


def test_a_subject_without_optimiser_is_compared_by_its_environment_calls() -> None:
    run = run_of(Hidden)

    assert (run.verdict, run.n_minibatches) == ("identical", 0)
    assert run.notes == (
        "no torch optimiser was found in the subject: only its exchange with the environments is compared",
    )


def test_a_cross_check_keeps_the_random_state_and_is_reproducible() -> None:
    before = randomness_digest()

    first_time, second_time = (run_of(SmallSteps) for _ in range(2))

    assert np.array_equal(randomness_digest(), before)
    assert first_time == second_time
