"""Random combinations of all that can be fused: spaces, networks, distributions, losses, optimisers, extractors."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from torch import Tensor, nn

from custom_ppo import losses
from custom_ppo.agent import PPOAgent
from custom_ppo.config import PPOConfig
from custom_ppo.engines import AutogradEngine, FusedEngine, make_engine, reason_against
from custom_ppo.extractors import NatureCNN
from custom_ppo.recipe import (
    SB3_PPO,
    PolicyLoss,
    Recipe,
    adam,
    clip_around_old_values,
    clip_improvements_only,
    log_prob_objective,
    rmsprop,
)
from tests.custom_ppo.engines.spaces_to_fuse import ACTIONS, VECTOR
from tests.custom_ppo.loops import Loop, make_agent
from tests.probe_envs import RandomWorld

OBSERVATIONS: dict[str, spaces.Space[Any]] = {
    "vector": VECTOR,
    "doubles": spaces.Box(-1, 1, (2, 2), np.float64),
    "small image": spaces.Box(0, 255, (6, 5, 3), np.uint8),
    "choice": spaces.Discrete(4),
    "choices": spaces.MultiDiscrete([2, 3]),
    "switches": spaces.MultiBinary(3),
}
ACTIVATIONS: Sequence[Callable[[], nn.Module]] = (
    *(nn.Tanh, nn.ReLU, nn.ELU, nn.GELU, nn.LeakyReLU, nn.SiLU, nn.Sigmoid, nn.Identity),
    *(partial(nn.GELU, "tanh"), partial(nn.ELU, 0.3), partial(nn.LeakyReLU, 0.3), partial(nn.ReLU, inplace=True)),
)
OPTIMIZERS: Sequence[Callable[..., torch.optim.Optimizer]] = (
    *(adam, adam, rmsprop, torch.optim.AdamW, torch.optim.SGD),
    partial(torch.optim.Adam, weight_decay=0.01, amsgrad=True),
    partial(torch.optim.RMSprop, centered=True, momentum=0.5),
    partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    partial(RMSpropTFLike, eps=1e-5),
)
OBJECTIVES = (PolicyLoss(), PolicyLoss(log_prob_objective), PolicyLoss(losses.kl_penalty, limited_by="beta"))


class Trained(nn.Module):
    """Extractor of a user, with random and stateful layers."""

    def __init__(self, space: spaces.Space[Any], features_dim: int = 5) -> None:
        super().__init__()
        self.features_dim = features_dim
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(spaces.flatdim(space), features_dim), nn.Dropout(0.3))
        self.norm = nn.BatchNorm1d(features_dim)

    def forward(self, observations: Tensor) -> Tensor:
        features = self.layers(observations)
        return torch.tanh(self.norm(features) if len(features) > 1 else features)


class PartlyUsed(nn.Module):
    """Extractor with a layer that it never uses, which PyTorch's optimisers skip."""

    def __init__(self, space: spaces.Space[Any]) -> None:
        super().__init__()
        self.features_dim = 5
        self.unused = nn.Linear(3, 2)
        self.used = nn.Linear(spaces.flatdim(space), 5)

    def forward(self, observations: Tensor) -> Tensor:
        return torch.tanh(self.used(observations))


class ByColumn(nn.Module):
    """Extractor whose output lies column by column in memory, for which autograd multiplies other matrices."""

    def __init__(self, space: spaces.Space[Any], features_dim: int = 5) -> None:
        super().__init__()
        self.features_dim = features_dim
        self.weight = nn.Parameter(torch.randn(features_dim, spaces.flatdim(space)))

    def forward(self, observations: Tensor) -> Tensor:
        return (self.weight @ observations.flatten(1).t()).t()


@dataclass(frozen=True)
class Combination:
    observations: spaces.Space[Any]
    actions: spaces.Space[Any]
    network: dict[str, Any]
    recipe: Recipe
    numbers: dict[str, Any]


def draw(seed: int) -> Combination:
    rng = np.random.default_rng(seed)

    def one_of(choices: Sequence[Any]) -> Any:
        return choices[rng.integers(len(choices))]

    def widths(n: int) -> list[int]:
        return rng.integers(1, 70, size=rng.integers(0, n)).tolist()  # type: ignore[no-any-return]

    observations = OBSERVATIONS[one_of(["vector", "vector", *OBSERVATIONS])]
    actions = ACTIONS[one_of([*ACTIONS, "box", "matrix"])]
    sde = isinstance(actions, spaces.Box) and rng.random() < 0.5
    network: dict[str, Any] = {
        "net_arch": one_of([widths(4), {"pi": widths(3), "vf": widths(3)}]),
        "activation_fn": one_of(ACTIVATIONS),
        "ortho_init": bool(rng.integers(2)),
        "share_features_extractor": bool(rng.random() < 0.7),
        "use_sde": sde,
        **({option: bool(rng.integers(2)) for option in ("full_std", "use_expln", "squash_output")} if sde else {}),
    }
    if isinstance(observations, spaces.Box) and observations.dtype != np.uint8 and rng.random() < 0.6:
        network["make_features_extractor"] = one_of([ByColumn, Trained])
    recipe = SB3_PPO.replace(
        policy_loss=one_of(OBJECTIVES),
        value_loss=one_of([losses.value_loss, losses.half_value_loss]),
        clip_values=one_of([clip_around_old_values, clip_improvements_only]),
        optimizer=one_of(OPTIMIZERS),
    )
    numbers = {
        "n_steps": int(rng.integers(4, 40)),
        "batch_size": one_of([None, 16, 20, 7, 47]),
        "n_epochs": int(rng.integers(1, 4)),
        "learning_rate": float(10 ** rng.uniform(-4, -1.5)),
        "clip_range": 0.1,
        "clip_range_vf": one_of([None, 0.05, 0.3]),
        "normalize_advantage": bool(rng.integers(2)),
        "ent_coef": one_of([0.0, 0.01, 0.1]),
        "vf_coef": float(rng.uniform(0.1, 1)),
        "max_grad_norm": float(10 ** rng.uniform(-2, 1)),
        "target_kl": one_of([None, None, 0.01]),
        "use_sde": sde,
    }
    return Combination(observations, actions, network, recipe, numbers)


def trained(combination: Combination, engine: str, n_updates: int) -> tuple[PPOAgent, list[dict[str, Any]]]:
    """Return an agent after some updates, and the report of each."""
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002

    def world() -> RandomWorld:
        return RandomWorld(copy.deepcopy(combination.observations), copy.deepcopy(combination.actions))

    config = PPOConfig(**combination.numbers)
    agent = make_agent(world(), config, n_envs=2, recipe=combination.recipe, **combination.network)
    if engine == "fused":
        assert reason_against(agent.policy, agent.optimizer, agent.recipe) is None
    loop = Loop(world, n_envs=2)
    reports = []
    for progress in range(n_updates, 0, -1):
        loop.collect(agent)
        parts = agent.policy, agent.optimizer, agent.recipe
        if engine == "fused" and reason_against(*parts) != "some parameters have made more steps than others":
            agent.engine = make_engine(*parts, "fused", last=agent.engine)
        else:
            agent.engine = AutogradEngine(*parts)
        reports.append(asdict(agent.update(progress / n_updates)))
    return agent, reports


def assert_trains_alike(combination: Combination, n_updates: int = 4) -> None:
    (ours, our_reports), (theirs, their_reports) = (trained(combination, e, n_updates) for e in ("fused", "autograd"))
    assert our_reports == their_reports
    assert_equal(dict(ours.policy.state_dict()), dict(theirs.policy.state_dict()))  # type: ignore[attr-defined]
    assert_equal(ours.optimizer.state_dict()["state"], theirs.optimizer.state_dict()["state"])


def assert_equal(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for name, value in theirs.items():
            assert_equal(ours[name], value)
    elif isinstance(theirs, Tensor):
        assert torch.equal(ours, theirs)
    else:
        assert ours == theirs


@pytest.mark.parametrize("seed", range(32))
def test_random_combinations_train_to_autograds_bits(seed: int) -> None:
    assert_trains_alike(draw(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(32, 300))
def test_many_random_combinations_train_to_autograds_bits(seed: int) -> None:
    assert_trains_alike(draw(seed), n_updates=8)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weights_of_an_extractor_that_are_not_used_stay_untouched(optimizer: Callable[..., Any]) -> None:
    recipe = SB3_PPO.replace(optimizer=optimizer)
    numbers = {"n_steps": 8, "batch_size": 8, "n_epochs": 2, "learning_rate": 1e-2}
    network = {"make_features_extractor": PartlyUsed, "net_arch": [6]}
    assert_trains_alike(Combination(VECTOR, ACTIONS["box"], network, recipe, numbers), n_updates=3)


@pytest.mark.parametrize("share", [True, False])
def test_a_cnn_is_differentiated_to_autograds_bits(share: bool) -> None:
    images = spaces.Box(0, 255, (1, 36, 36), np.uint8)
    extractor = partial(NatureCNN, features_dim=8)
    network = {"make_features_extractor": extractor, "net_arch": [6], "share_features_extractor": share}
    numbers = {"n_steps": 8, "batch_size": 8, "n_epochs": 2, "learning_rate": 1e-3, "ent_coef": 0.01}
    assert_trains_alike(Combination(images, ACTIONS["choices"], network, SB3_PPO, numbers), n_updates=2)


def test_the_combinations_hold_everything_that_can_be_fused() -> None:
    drawn = [draw(seed) for seed in range(32)]
    assert {c.recipe.policy_loss for c in drawn} == set(OBJECTIVES)
    assert {type(c.actions) for c in drawn} == {type(space) for space in ACTIONS.values()}
    assert {c.network["use_sde"] for c in drawn} == {True, False}
    assert len({c.recipe.optimizer for c in drawn}) > 5
    assert len({c.network["activation_fn"] for c in drawn}) > 7
    assert {c.network.get("make_features_extractor") for c in drawn} == {None, Trained, ByColumn}


def test_an_exchanged_layer_is_not_overlooked() -> None:
    combination = draw(0)
    agent, _ = trained(combination, "fused", 1)
    engine = agent.engine
    assert isinstance(engine, FusedEngine)
    assert engine.serves(agent.policy, agent.optimizer, agent.recipe)
    assert not engine.serves(
        agent.policy, agent.optimizer, agent.recipe.replace(value_loss=torch.nn.functional.l1_loss)
    )
    agent.policy.mlp_extractor.policy_net.append(nn.ReLU())  # type: ignore[attr-defined]
    assert not engine.serves(agent.policy, agent.optimizer, agent.recipe)


def test_a_copy_of_an_engine_trains_the_copied_policy() -> None:
    numbers = {"n_steps": 8, "batch_size": 8, "n_epochs": 1}
    agent, _ = trained(Combination(VECTOR, ACTIONS["box"], {"net_arch": [4]}, SB3_PPO, numbers), "fused", 1)
    for duplicate in (copy.deepcopy(agent), pickle.loads(pickle.dumps(agent))):
        assert duplicate.engine.policy is duplicate.policy
        assert duplicate.engine.flat.optimizer is duplicate.optimizer
        before = [parameter.detach().clone() for parameter in agent.policy.parameters()]
        duplicate.update(1.0)
        assert all(torch.equal(a, b) for a, b in zip(agent.policy.parameters(), before, strict=True))
        assert not all(torch.equal(a, b) for a, b in zip(duplicate.policy.parameters(), before, strict=True))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_update_that_makes_no_step_leaves_no_state(optimizer: Callable[..., torch.optim.Optimizer]) -> None:
    never = SB3_PPO.replace(optimizer=optimizer, stop_early=lambda _kl, _target: True)
    numbers = {"n_steps": 8, "batch_size": 8, "target_kl": 0.1}
    agent, _ = trained(Combination(VECTOR, ACTIONS["box"], {"net_arch": [4]}, never, numbers), "fused", 2)
    assert agent.optimizer.state_dict()["state"] == {}
