"""The actor of the fused engine acts like the policy itself, to the bit, and draws the same random numbers."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from custom_ppo.agent import PPOAgent
from custom_ppo.config import PPOConfig
from custom_ppo.engines import FusedEngine
from custom_ppo.extractors import CombinedExtractor, FlattenExtractor
from tests.custom_ppo.engines.spaces_to_fuse import ACTIONS, VECTOR
from tests.custom_ppo.loops import make_agent
from tests.probe_envs import RandomWorld

OBSERVATIONS: dict[str, spaces.Space[Any]] = {
    "vector": VECTOR,
    "doubles": spaces.Box(-1, 1, (2, 2), np.float64),
    "image": spaces.Box(0, 255, (4, 5, 3), np.uint8),
    "choice": spaces.Discrete(4),
    "choices": spaces.MultiDiscrete([2, 5]),
    "switches": spaces.MultiBinary(3),
    "dict": spaces.Dict(
        {
            "vector": VECTOR,
            "matrix": spaces.Box(-1, 1, (2, 2), np.float64),
            "choice": spaces.Discrete(4),
            "choices": spaces.MultiDiscrete([2, 5]),
            "switches": spaces.MultiBinary(3),
        }
    ),
}
NOISES: dict[str, dict[str, Any]] = {
    "gSDE": {},
    "one deviation per feature": {"full_std": False},
    "expln": {"use_expln": True, "log_std_init": 0.5},
    "squashed": {"squash_output": True},
}


def agent_with(observations: spaces.Space[Any], actions: spaces.Space[Any], n_envs: int, **network: Any) -> PPOAgent:
    torch.manual_seed(3)
    world = RandomWorld(copy.deepcopy(observations), copy.deepcopy(actions))
    config = PPOConfig(n_steps=7, use_sde=network.get("use_sde", False))
    extractor = CombinedExtractor if isinstance(observations, spaces.Dict) else FlattenExtractor
    network = {"net_arch": [9, 5], "ortho_init": False, "make_features_extractor": extractor, **network}
    agent = make_agent(world, config, n_envs=n_envs, **network)
    agent.engine = FusedEngine(agent.policy, agent.optimizer, agent.recipe)  # type: ignore[arg-type]
    return agent


def assert_acts_like_its_policy(agent: PPOAgent) -> None:
    engine, memory = agent.engine, agent.memory
    agent.start_rollout()
    assert isinstance(engine, FusedEngine)
    actor = engine.actor(agent.policy, agent.memory.n_envs)
    assert actor is not None
    actor.begin(memory)
    memory.observation_space.seed(0)
    for step in range(memory.n_steps):
        observations = observed(memory.observation_space, memory.n_envs)
        before = torch.get_rng_state()
        expected = agent.act(observations)
        after = torch.get_rng_state()
        torch.set_rng_state(before)
        actions = actor.act(step, observations)
        assert actions.dtype == expected.actions.dtype
        assert np.array_equal(actions, expected.actions.reshape(actions.shape))
        assert np.array_equal(memory.values[step], expected.values.numpy()[:, 0])
        assert np.array_equal(memory.log_probs[step], expected.log_probs.numpy())
        assert torch.equal(torch.get_rng_state(), after)
        values = actor.values(observations)
        assert np.array_equal(values, agent.value(tensors(observations)).numpy()[:, 0])


def observed(space: spaces.Space[Any], n_envs: int) -> Any:
    samples = [space.sample() for _ in range(n_envs)]
    if isinstance(space, spaces.Dict):
        return {key: np.stack([sample[key] for sample in samples]) for key in space}
    return np.stack(samples)


def tensors(observations: Any) -> Any:
    if isinstance(observations, dict):
        return {key: torch.as_tensor(value) for key, value in observations.items()}
    return torch.as_tensor(observations)


@pytest.mark.parametrize("n_envs", [1, 5])
@pytest.mark.parametrize("actions", list(ACTIONS))
@pytest.mark.parametrize("observations", list(OBSERVATIONS))
def test_it_acts_like_the_policy_in_every_space(observations: str, actions: str, n_envs: int) -> None:
    assert_acts_like_its_policy(agent_with(OBSERVATIONS[observations], ACTIONS[actions], n_envs))


@pytest.mark.parametrize("n_envs", [1, 5, 16])
@pytest.mark.parametrize("actions", ["box", "matrix"])
@pytest.mark.parametrize("noise", list(NOISES))
def test_it_explores_with_the_same_noise(noise: str, actions: str, n_envs: int) -> None:
    network = {"use_sde": True, **NOISES[noise]}
    assert_acts_like_its_policy(agent_with(VECTOR, ACTIONS[actions], n_envs, **network))


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("activation_fn", [nn.ReLU, nn.ELU, nn.GELU, nn.SiLU, nn.LeakyReLU, nn.Identity])
def test_it_acts_like_the_policy_with_every_network(activation_fn: type[nn.Module], share: bool) -> None:
    network = {"activation_fn": activation_fn, "share_features_extractor": share, "net_arch": {"pi": [], "vf": [70]}}
    assert_acts_like_its_policy(agent_with(VECTOR, ACTIONS["box"], 3, **network))


@pytest.mark.parametrize("share", [True, False])
def test_it_acts_on_the_features_of_an_extractor(share: bool) -> None:
    space = spaces.Dict({"a": VECTOR, "b": spaces.Discrete(3), "c": spaces.Box(0, 255, (1, 36, 36), np.uint8)})
    network = {"share_features_extractor": share}
    assert_acts_like_its_policy(agent_with(space, ACTIONS["discrete"], 2, **network))


def test_it_acts_with_the_weights_of_the_last_update() -> None:
    agent = agent_with(VECTOR, ACTIONS["box"], 2)
    assert_acts_like_its_policy(agent)
    agent.memory.rewards[:] = 1
    agent.update(1.0)
    assert_acts_like_its_policy(agent)


@pytest.mark.parametrize("use_sde", [False, True])
def test_it_follows_weights_that_change_within_a_rollout(use_sde: bool) -> None:
    agent = agent_with(VECTOR, ACTIONS["box"], 1, use_sde=use_sde)
    assert isinstance(agent.engine, FusedEngine)
    agent.start_rollout()
    actor = agent.engine.actor(agent.policy, agent.memory.n_envs)
    assert actor is not None
    actor.begin(agent.memory)
    observations = np.ones((1, 3), np.float32)
    for step, log_std in enumerate((0.0, -1.0, -2.0)):
        for parameter in agent.policy.parameters():
            parameter.data.add_(0.1)
        agent.policy.log_std.data.fill_(log_std)  # type: ignore[attr-defined]
        state = torch.get_rng_state()
        expected = agent.act(observations)
        torch.set_rng_state(state)
        assert np.array_equal(actor.act(step, observations), expected.actions)
        assert np.array_equal(agent.memory.log_probs[step], expected.log_probs.numpy())


def test_returned_actions_are_not_overwritten_by_the_next_step() -> None:
    agent = agent_with(VECTOR, ACTIONS["box"], 2)
    assert isinstance(agent.engine, FusedEngine)
    actor = agent.engine.actor(agent.policy, agent.memory.n_envs)
    assert actor is not None
    actor.begin(agent.memory)
    first = actor.act(0, np.zeros((2, 3), np.float32))
    kept = first.copy()
    actor.act(1, np.ones((2, 3), np.float32))
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("actions", ["discrete", "choices", "switches"])
def test_it_refuses_to_draw_from_nan_like_pytorch(actions: str) -> None:
    agent = agent_with(VECTOR, ACTIONS[actions], 2)
    assert isinstance(agent.engine, FusedEngine)
    actor = agent.engine.actor(agent.policy, agent.memory.n_envs)
    assert actor is not None
    actor.begin(agent.memory)
    with pytest.raises(RuntimeError, match=r"nan|p_in >= 0"):
        actor.act(0, np.full((2, 3), np.nan, np.float32))


class Watching(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Tensor:
        return func(*args, **(kwargs or {}))  # type: ignore[no-any-return]


def test_there_is_no_actor_while_a_mode_watches_pytorch() -> None:
    agent = agent_with(VECTOR, ACTIONS["box"], 2)
    assert isinstance(agent.engine, FusedEngine)
    with Watching():
        assert agent.engine.actor(agent.policy, agent.memory.n_envs) is None
