from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from custom_ppo.agent import PPOAgent, to_tensor
from custom_ppo.config import PPOConfig
from custom_ppo.diagnostics import TrainingDivergedError
from custom_ppo.losses import value_loss
from custom_ppo.networks import ActorCritic
from custom_ppo.recipe import SB3_PPO
from tests.custom_ppo.loops import Loop, agent_in_broken_world, make_agent
from tests.probe_envs import (
    ActionReward,
    BrokenWorld,
    ConstantReward,
    ContextReward,
    DelayedReward,
    ObservedReward,
    RandomWorld,
)

SMALL = PPOConfig(n_steps=8, batch_size=4, n_epochs=2, learning_rate=1e-3)


def trained(make_env: Callable[[], gym.Env[Any, Any]], gamma: float = 0.99) -> PPOAgent:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    config = PPOConfig(n_steps=32, batch_size=64, n_epochs=10, learning_rate=1e-2, gamma=gamma)
    agent = make_agent(make_env(), config, n_envs=4, net_arch=[16])
    loop = Loop(make_env, n_envs=4)
    for _ in range(15):
        loop.collect(agent)
        agent.update(1.0)
    return agent


def value_at(agent: PPOAgent, *observations: float) -> list[float]:
    with torch.no_grad():
        values: list[float] = agent.policy.predict_values(torch.tensor(observations)[:, None]).flatten().tolist()
    return values


def probability_of_1(agent: PPOAgent, *observations: float) -> list[float]:
    assert isinstance(agent.policy, ActorCritic)
    ones = torch.ones(len(observations), dtype=torch.long)
    with torch.no_grad():
        distribution = agent.policy.get_distribution(torch.tensor(observations)[:, None])
        probabilities: list[float] = distribution.log_prob(ones).exp().tolist()
    return probabilities


def test_probe_1_the_value_of_a_constant_reward_is_learnt() -> None:
    assert value_at(trained(ConstantReward), 0.0) == pytest.approx([1.0], abs=0.05)


def test_probe_2_the_value_follows_the_observation() -> None:
    assert value_at(trained(ObservedReward), -1.0, 1.0) == pytest.approx([-1.0, 1.0], abs=0.05)


@pytest.mark.parametrize("gamma", [0.5, 0.9])
def test_probe_3_a_later_reward_is_discounted(gamma: float) -> None:
    assert value_at(trained(DelayedReward, gamma), 0.0, 1.0) == pytest.approx([gamma, 1.0], abs=0.05)


def test_probe_4_the_better_action_is_learnt() -> None:
    assert probability_of_1(trained(ActionReward), 0.0)[0] > 0.95


def test_probe_5_the_better_action_is_learnt_for_every_observation() -> None:
    at_minus, at_plus = probability_of_1(trained(ContextReward), -1.0, 1.0)
    assert at_minus < 0.05
    assert at_plus > 0.95


def state_of(agent: PPOAgent) -> list[Tensor]:
    """Copies of all weights and of everything that the optimiser keeps."""
    kept = [value for state in agent.optimizer.state.values() for value in state.values()]
    return [tensor.detach().clone() for tensor in (*agent.policy.parameters(), *kept)]


def assert_same_state(ours: list[Tensor], theirs: list[Tensor]) -> None:
    assert len(ours) == len(theirs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_loss_that_explodes_never_reaches_the_weights() -> None:
    agent, loop = agent_in_broken_world(SMALL)
    loop.collect(agent)
    agent.memory.returns[...] = 1e30  # finite, but its square is not
    before = state_of(agent)
    with pytest.raises(TrainingDivergedError) as error:
        agent.update(1.0)
    message = str(error.value)
    assert message.startswith("iteration 1, epoch 1, minibatch 1: the loss is inf (policy ")
    assert message.endswith("); try a smaller learning_rate, or normalise the rewards")
    assert ", value inf, entropy -0.69" in message
    assert_same_state(state_of(agent), before)


def counting(part: Callable[..., Any], at_call: int, result: Any) -> Callable[..., Any]:
    """A part of a recipe that returns something else at its n-th call."""
    calls = 0

    def count(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        return result if calls == at_call else part(*args)

    return count


def updated(**recipe: Any) -> tuple[PPOAgent, Any]:
    """An agent after one update by another recipe, always from the same rollout, and the report or the error."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    config = PPOConfig(n_steps=8, batch_size=4, n_epochs=3, learning_rate=1e-3, target_kl=0.01)
    world = BrokenWorld()
    agent = make_agent(world, config, recipe=SB3_PPO.replace(**{"stop_early": lambda *_: False, **recipe}))
    Loop(lambda: world).collect(agent)
    try:
        return agent, agent.update(1.0)
    except TrainingDivergedError as error:
        return agent, error


def test_a_bad_minibatch_leaves_the_weights_of_the_good_ones_before_it() -> None:
    failed, error = updated(value_loss=counting(value_loss, 4, torch.tensor(torch.nan)))
    assert str(error).startswith("iteration 1, epoch 2, minibatch 2: the loss is nan (policy ")
    stopped, _ = updated(stop_early=counting(lambda *_: False, 4, True))
    assert_same_state(state_of(failed), state_of(stopped))


def test_early_stopping_comes_before_the_step_and_ends_all_epochs() -> None:
    untouched, _ = updated(stop_early=lambda *_: True)
    _, report = updated(stop_early=counting(lambda *_: False, 4, True))
    assert not untouched.optimizer.state
    assert (report.n_epochs, report.stopped_early) == (2, True)
    assert len(report.policy_losses) == 4
    assert len(report.approx_kls) == 2, "the divergences are those of the last epoch"


def test_the_policy_acts_in_evaluation_mode_and_learns_in_training_mode() -> None:
    agent, loop = agent_in_broken_world(SMALL)
    policy: Any = agent.policy
    modes: list[tuple[str, bool]] = []
    agent.observer = lambda stage: modes.append((stage, policy.training))
    for _ in range(2):
        loop.collect(agent)
        modes.append(("acted", policy.training))
        agent.update(1.0)
    assert set(modes) == {("acted", False), ("gradient", True), ("step", True)}
    assert modes[:3] == [("acted", False), ("gradient", True), ("step", True)]


def test_a_target_kl_of_none_never_asks() -> None:
    torch.manual_seed(0)
    world = BrokenWorld()
    agent = make_agent(world, SMALL, recipe=SB3_PPO.replace(stop_early=lambda *_: True))
    Loop(lambda: world).collect(agent)
    report = agent.update(1.0)
    assert (report.n_epochs, report.stopped_early, len(report.policy_losses)) == (2, False, 4)


def test_schedules_are_followed() -> None:
    torch.manual_seed(0)
    world = BrokenWorld()
    config = PPOConfig(
        n_steps=8,
        batch_size=4,
        n_epochs=1,
        learning_rate=lambda progress: progress / 100,
        clip_range=lambda progress: progress / 2,
        clip_range_vf=lambda progress: progress,
    )
    agent = make_agent(world, config)
    Loop(lambda: world).collect(agent)
    report = agent.update(0.5)
    numbers = report.config
    assert (numbers.learning_rate, numbers.clip_range, numbers.clip_range_vf) == (0.005, 0.25, 0.5)
    assert [group["lr"] for group in agent.optimizer.param_groups] == [0.005]


def test_every_part_of_the_recipe_is_used_but_the_one_for_making_a_policy() -> None:
    used: set[str] = set()

    def spy(name: str) -> Callable[..., Any]:
        def part(*args: Any, **kwargs: Any) -> Any:
            used.add(name)
            return getattr(SB3_PPO, name)(*args, **kwargs)

        return part

    parts = [name for name in SB3_PPO.__dataclass_fields__ if name not in ("name", "initialise")]
    agent, _ = updated(**{name: spy(name) for name in parts})
    agent.timeout_reward(1.0, agent.value(torch.zeros(1, 3))[0])
    assert used == set(parts) - {"clip_values"}
    agent.config = replace(agent.config, clip_range_vf=0.2)
    agent.update(1.0)
    assert used == set(parts)


def test_the_reward_of_a_timeout_is_the_recipes() -> None:
    agent, _ = agent_in_broken_world(SMALL)
    observation = torch.ones(1, 3)
    value = agent.policy.predict_values(observation).item()
    assert agent.timeout_reward(2.0, agent.value(observation)[0]).item() == pytest.approx(2.0 + 0.99 * value)


def test_the_memory_keeps_sampled_actions_and_environments_get_clipped_ones() -> None:
    torch.manual_seed(0)
    world = RandomWorld(spaces.Box(-1, 1, (3,)), spaces.Box(-0.01, 0.01, (2,)))
    agent = make_agent(world, SMALL)
    Loop(lambda: world).collect(agent)
    step = agent.act(np.zeros((1, 3), np.float32))
    assert np.abs(step.env_actions).max() <= np.float32(0.01)
    assert np.abs(step.actions).max() > 0.01
    assert np.abs(agent.memory.actions).max() > 0.01


def test_acting_and_judging_leave_no_graph_behind() -> None:
    agent, loop = agent_in_broken_world(SMALL)
    step = agent.act(loop.observations)
    assert not step.values.requires_grad
    assert not step.log_probs.requires_grad


@pytest.mark.parametrize("frequency", [-1, 3])
def test_gsdes_noise_is_drawn_at_every_rollout_and_every_so_many_steps(frequency: int) -> None:
    world = RandomWorld(spaces.Box(-1, 1, (3,)), spaces.Box(-1, 1, (1,)))
    config = PPOConfig(n_steps=8, batch_size=4, use_sde=True, sde_sample_freq=frequency)
    agent = make_agent(world, config, use_sde=True)
    drawn_at: list[int] = []
    reset_noise = agent.policy.reset_noise

    def draw(n_envs: int) -> None:
        drawn_at.append(agent.memory.position)
        reset_noise(n_envs)

    agent.policy.reset_noise = draw  # type: ignore[method-assign]
    Loop(lambda: world).collect(agent)
    assert drawn_at == ([0] if frequency == -1 else [0, 0, 3, 6])


def test_observations_become_tensors_without_a_copy() -> None:
    array = np.zeros((2, 3), np.float32)
    tensor = to_tensor(array, torch.device("cpu"))
    assert isinstance(tensor, Tensor)
    array[0, 0] = 5
    assert tensor[0, 0] == 5
    nested = to_tensor({"a": array}, torch.device("cpu"))
    assert isinstance(nested, dict)
    assert nested["a"].shape == (2, 3)
