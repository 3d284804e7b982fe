"""All presets, optimisers and activations are learned in the kernels, to the bits of autograd."""

from __future__ import annotations

import copy
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn

from custom_ppo.agent import UpdateReport
from custom_ppo.config import PPOConfig
from custom_ppo.engines.flat import flat_optimizer
from custom_ppo.engines.native import self_check
from custom_ppo.engines.native.coverage import reason_against
from custom_ppo.engines.native.engine import NativeEngine
from custom_ppo.engines.native.learner import Learner, reason_against_layers
from custom_ppo.networks import ActorCritic
from custom_ppo.recipe import CLEANRL_PPO, PPO_PENALTY, SB3_A2C, SB3_PPO, Recipe
from tests.custom_ppo.engines.native.test_optimizers import ALL
from tests.custom_ppo.engines.spaces_to_fuse import ACTIONS, VECTOR
from tests.custom_ppo.engines.test_fused import BOLD, CONFIGS
from tests.custom_ppo.loops import Loop, make_agent
from tests.probe_envs import RandomWorld

RECIPES: dict[str, tuple[Recipe, dict[str, Any]]] = {
    "ppo": (SB3_PPO, {}),
    "a2c": (SB3_A2C, {"n_epochs": 1, "batch_size": None, "normalize_advantage": False}),
    "a2c in minibatches": (SB3_A2C, {}),
    "ppo_penalty": (PPO_PENALTY, {"target_kl": 0.01}),
    "cleanrl_ppo": (CLEANRL_PPO, {"clip_range_vf": 0.1, "ent_coef": 0.01}),
}

ACTIVATIONS = [nn.ReLU, nn.ELU, nn.LeakyReLU, nn.SiLU, nn.Sigmoid, nn.Identity]

Outcome = tuple[list[Tensor], list[dict[str, Any]]]


def history(native: bool, recipe: Recipe, config: dict[str, Any], actions: spaces.Space[Any], **net: Any) -> Outcome:
    """Return weights and state of the optimiser after some updates, and the report of each."""
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    world = RandomWorld(VECTOR, actions)
    agent = make_agent(world, PPOConfig(**{**BOLD, **config}), n_envs=2, recipe=recipe, **net)
    if native:
        assert reason_against(agent.policy, agent.optimizer, recipe) is None
        assert isinstance(agent.policy, ActorCritic)
        agent.engine = NativeEngine(agent.policy, agent.optimizer, recipe)
    loop = Loop(lambda: RandomWorld(VECTOR, copy.deepcopy(actions)), n_envs=2)
    reports: list[UpdateReport] = []
    for progress in range(4, 0, -1):
        loop.collect(agent)
        reports.append(agent.update(progress / 4))
    states = [value for state in agent.optimizer.state_dict()["state"].values() for value in state.values()]
    tensors = [torch.as_tensor(value).detach().clone() for value in (*agent.policy.parameters(), *states)]
    return tensors, [asdict(report) for report in reports]


def assert_native(recipe: Recipe, config: dict[str, Any], actions: str, **net: Any) -> None:
    self_check.results.clear()
    ours, theirs = (history(native, recipe, config, ACTIONS[actions], **net) for native in (True, False))
    assert self_check.results
    assert all(self_check.results.values()), "the kernels were not used"
    assert ours[1] == theirs[1]
    for i, (our, their) in enumerate(zip(ours[0], theirs[0], strict=True)):
        assert torch.equal(our, their), f"tensor {i} of shape {tuple(our.shape)}"


@pytest.mark.parametrize("actions", ["discrete", "box"])
@pytest.mark.parametrize("name", list(RECIPES))
def test_every_preset_gives_autograds_bits(name: str, actions: str) -> None:
    recipe, config = RECIPES[name]
    assert_native(recipe, config, actions)


@pytest.mark.parametrize("config", list(CONFIGS))
@pytest.mark.parametrize("name", ["ppo", "ppo_penalty", "cleanrl_ppo"])
def test_every_setting_of_a_preset_gives_autograds_bits(name: str, config: str) -> None:
    recipe, settings = RECIPES[name]
    assert_native(recipe, {**settings, **CONFIGS[config]}, "box")


@pytest.mark.parametrize("name", list(ALL))
def test_every_optimiser_gives_autograds_bits(name: str) -> None:
    recipe = SB3_PPO.replace(optimizer=lambda parameters, lr: ALL[name](list(parameters)))
    assert_native(recipe, {}, "discrete")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_gives_autograds_bits(activation: type[nn.Module]) -> None:
    assert_native(SB3_PPO, {"ent_coef": 0.01}, "discrete", activation_fn=activation)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.GELU(), "no kernel computes GELU(approximate='none')"),
        (nn.ELU(inplace=True), "ELU works in place"),
    ],
)
def test_an_activation_that_no_kernel_computes_is_named(layer: nn.Module, reason: str) -> None:
    policy = ActorCritic(VECTOR, ACTIONS["discrete"])
    policy.mlp_extractor.value_net[1] = layer
    assert reason_against_layers(policy) == reason


def test_another_slope_or_activation_makes_another_learner() -> None:
    policy = ActorCritic(VECTOR, ACTIONS["discrete"], activation_fn=nn.LeakyReLU)
    flat = flat_optimizer(SB3_PPO.optimizer(policy.parameters(), 1e-3))
    flat.bind()
    learner = Learner(policy, flat, SB3_PPO, 8)
    assert not learner.is_outdated()
    policy.mlp_extractor.value_net[1].negative_slope = 0.5
    assert learner.is_outdated()
    policy.mlp_extractor.value_net[1] = nn.LeakyReLU()
    assert not learner.is_outdated()
    policy.mlp_extractor.value_net[1] = nn.ReLU()
    assert learner.is_outdated()
