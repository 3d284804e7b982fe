"""The kernels' distributions give PyTorch's bits: updates by autograd, and actions by the policy's own methods."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from torch import nn

from custom_ppo import CustomPPO
from custom_ppo.config import PPOConfig, UpdateConfig
from custom_ppo.distributions import StateDependentNoise
from custom_ppo.engines import NativeEngine
from custom_ppo.engines.flat import flat_optimizer
from custom_ppo.engines.native import self_check
from custom_ppo.engines.native.actor import NativeActor
from custom_ppo.engines.native.heads import reason_against_head
from custom_ppo.engines.native.learner import Learner, Transitions
from custom_ppo.engines.native.library import reason_against_loading
from custom_ppo.memory import Batch
from custom_ppo.networks import ActorCritic
from custom_ppo.recipe import SB3_PPO
from tests.custom_ppo.parity import assert_identical, train
from tests.probe_envs import RandomWorld

pytestmark = pytest.mark.skipif(reason_against_loading() is not None, reason=str(reason_against_loading()))

VECTOR = spaces.Box(-1, 1, (5,))
Case = tuple[spaces.Space[Any], dict[str, Any]]

# Sizes on both sides of a vector of 8 and of 16 numbers, as sums and softmax are made in such vectors.
CHOICES: Mapping[str, Case] = {
    f"{n} choices": (spaces.Discrete(n), {}) for n in (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 64, 100)
}
PARTS: Mapping[str, Case] = {
    f"parts of {nvec}": (spaces.MultiDiscrete(nvec), {})
    for nvec in ([3], [1, 1], [2, 3], [4, 2, 3], [3, 17, 1, 20], [5] * 9, [16, 8, 33])
}
SWITCHES: Mapping[str, Case] = {f"{n} switches": (spaces.MultiBinary(n), {}) for n in (1, 2, 3, 8, 17, 33)}
BOXES: Mapping[str, Case] = {f"{n} components": (spaces.Box(-1, 1, (n,)), {}) for n in (1, 2, 3, 8, 9, 17)}
# 5, 16, 64 or 100 features times 1 to 17 components: at 400 products or more, PyTorch multiplies batches otherwise.
GSDE: Mapping[str, Case] = {
    f"gSDE, {n} components, full_std {full}, expln {expln}, squash {squash}, layers {layers}": (
        spaces.Box(-1, 1, (n,)),
        {"use_sde": True, "full_std": full, "use_expln": expln, "squash_output": squash, "net_arch": layers},
    )
    for n in (1, 3, 8, 17)
    for full in (True, False)
    for expln in (True, False)
    for squash in (True, False)
    for layers in ([], [16], [9, 100])
}
CASES = {
    **CHOICES,
    **PARTS,
    **SWITCHES,
    **BOXES,
    **GSDE,
    "matrix": (spaces.Box(-1, 1, (2, 3)), {}),
    "gSDE, one feature": (spaces.Box(-1, 1, (2,)), {"use_sde": True, "net_arch": [1]}),
    "gSDE, one feature and component": (spaces.Box(-1, 1, (1,)), {"use_sde": True, "net_arch": [1]}),
    "gSDE, 64 relu": (spaces.Box(-1, 1, (6,)), {"use_sde": True, "activation_fn": nn.ReLU, "log_std_init": -2.0}),
}


@pytest.fixture(autouse=True)
def no_results(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let every comparison be made anew, although the shapes are those of another test; a failure warns once."""
    monkeypatch.setattr(self_check, "results", {})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the compiled kernels do not give PyTorch's bits")
        yield


def make_policy(case: Case) -> ActorCritic:
    """Return a policy whose outputs differ from state to state, and whose log_std has both signs."""
    torch.manual_seed(0)
    space, network = case
    policy = ActorCritic(VECTOR, space, **network)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return policy


def make_learner(policy: ActorCritic, capacity: int, config: UpdateConfig) -> Learner:
    flat = flat_optimizer(torch.optim.Adam(policy.parameters(), lr=config.learning_rate, eps=1e-5))
    flat.bind()
    return Learner(policy, flat, SB3_PPO, capacity)


def settings(**changes: Any) -> UpdateConfig:
    return PPOConfig(learning_rate=1e-2, **changes).at(1.0, beta=1.0)


@torch.no_grad()
def make_batch(policy: ActorCritic, n: int) -> Batch:
    """Return n transitions that this policy sampled."""
    observations = torch.randn(n, 5)
    actions, values, log_prob = policy(observations)
    actions = actions.flatten(1) if actions.ndim > 1 else actions
    return Batch(observations, actions.to(torch.float32), values.flatten(), log_prob, torch.randn(n), torch.randn(n))


def update_agrees(policy: ActorCritic, n: int, config: UpdateConfig, learner: Learner | None = None) -> bool:
    batch = make_batch(policy, n)
    assert isinstance(batch.observations, torch.Tensor)
    learner = learner or make_learner(policy, n, config)
    return self_check.update_agrees(learner, batch, Transitions(batch.observations, batch), config, n)


def make_actor(policy: ActorCritic, n: int) -> NativeActor:
    learner = make_learner(policy, n, settings())
    engine: Any = SimpleNamespace(policy=policy, flat=learner.flat, learner=lambda _: learner)
    return NativeActor(engine, n)


@pytest.mark.parametrize("name", list(CASES))
def test_an_update_has_autograds_bits(name: str) -> None:
    policy = make_policy(CASES[name])
    assert reason_against_head(policy) is None
    for n in (1, 2, 7, 16, 64):
        for ent_coef in (0.0, 0.01):
            assert update_agrees(policy, n, settings(ent_coef=ent_coef)), f"{n} transitions, ent_coef {ent_coef}"


@pytest.mark.parametrize("name", list(CASES))
def test_actions_and_random_numbers_are_those_of_the_policy(name: str) -> None:
    policy = make_policy(CASES[name])
    for n in (1, 2, 3, 8, 16, 33):
        if policy.sde is not None:
            policy.reset_noise(n)
        assert self_check.acting_agrees(make_actor(policy, n)), f"{n} states"


@pytest.mark.parametrize("name", [name for name in GSDE if "layers [16]" in name or "layers [9, 100]" in name])
def test_states_share_one_noise_matrix_unless_each_has_its_own(name: str) -> None:
    policy = make_policy(GSDE[name])
    policy.reset_noise(3)
    assert self_check.acting_agrees(make_actor(policy, 8))


def test_noise_that_was_drawn_anew_is_used_at_the_next_step() -> None:
    policy = make_policy((spaces.Box(-1, 1, (3,)), {"use_sde": True}))
    actor = make_actor(policy, 4)
    for _ in range(3):
        policy.reset_noise(4)
        self_check.results.clear()
        assert self_check.acting_agrees(actor)


@pytest.mark.parametrize("option", ["use_expln", "squash_output"])
def test_the_comparison_notices_another_option_of_gsde(option: str) -> None:
    policy, config = make_policy((spaces.Box(-1, 1, (3,)), {"use_sde": True})), settings()
    learner = make_learner(policy, 16, config)
    setattr(policy.sde, option, True)
    assert not update_agrees(policy, 16, config, learner)


class OwnNoise(StateDependentNoise):
    pass


OWN_NOISE = OwnNoise(2, full_std=True, use_expln=False, squash_output=False)


@pytest.mark.parametrize(
    ("space", "sde", "reason"),
    [
        (spaces.Tuple([spaces.Discrete(2)]), None, "no kernel samples from Tuple"),
        (spaces.Box(-1, 1, (2,)), OWN_NOISE, "exploration noise is OwnNoise"),
        (spaces.MultiDiscrete([2] * 101), None, None),
    ],
)
def test_the_reason_against_a_distribution_is_named(
    space: spaces.Space[Any], sde: StateDependentNoise | None, reason: str | None
) -> None:
    policy: Any = SimpleNamespace(action_space=space, sde=sde)
    assert reason_against_head(policy) == reason


def test_two_hundred_components_fit_into_the_kernels() -> None:
    policy = make_policy((spaces.MultiDiscrete([2] * 200), {}))
    assert update_agrees(policy, 4, settings())
    assert self_check.acting_agrees(make_actor(policy, 4))


TRAININGS: Mapping[str, tuple[spaces.Space[Any], dict[str, Any]]] = {
    "Discrete": (spaces.Discrete(17), {}),
    "MultiDiscrete": (spaces.MultiDiscrete([3, 17, 2]), {"ent_coef": 0.01}),
    "MultiBinary": (spaces.MultiBinary(9), {"ent_coef": 0.01}),
    "Box": (spaces.Box(-1, 1, (3,)), {"ent_coef": 0.01}),
    "gSDE": (spaces.Box(-1, 1, (3,)), {"use_sde": True, "sde_sample_freq": 4, "ent_coef": 0.01}),
    "gSDE, noise of a rollout": (spaces.Box(-1, 1, (8,)), {"use_sde": True}),
    "gSDE, squashed": (
        spaces.Box(-1, 1, (3,)),
        {
            "use_sde": True,
            "sde_sample_freq": 8,
            "ent_coef": 0.01,
            "policy_kwargs": {"squash_output": True, "use_expln": True, "full_std": False},
        },
    ),
}


@pytest.mark.parametrize("name", list(TRAININGS))
@pytest.mark.parametrize("n_envs", [1, 4])
def test_training_is_sb3s(name: str, n_envs: int) -> None:
    space, kwargs = TRAININGS[name]
    world = functools.partial(RandomWorld, VECTOR, space)
    kwargs = {"n_iterations": 4, "learning_rate": 3e-3, **kwargs}
    ours = train(CustomPPO, world, n_envs, engine="native", **kwargs)
    assert_identical(ours, train(PPO, world, n_envs, **kwargs))
    assert isinstance(ours.model.agent.engine, NativeEngine)
    assert self_check.results, "the kernels must have been used"
    assert all(self_check.results.values()), self_check.results
