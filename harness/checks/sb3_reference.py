"""Expected results, computed by Stable-Baselines3's own code on crafted inputs; none of its formulas is retyped."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common import distributions
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import FloatSchedule
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor

__all__ = ["DISTRIBUTIONS", "Update", "advantages_and_returns", "advantages_with_timeouts", "distribution", "update"]

OBSERVATIONS = spaces.Box(-np.inf, np.inf, (1,))
ACTIONS = spaces.Discrete(2)


def advantages_and_returns(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    episode_starts: NDArray[np.float32],
    last_values: NDArray[np.float32],
    dones: NDArray[np.bool_],
    gamma: float,
    gae_lambda: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return advantages and returns of SB3's RolloutBuffer, each [T, N]; arguments as in `custom_ppo.gae`."""
    n_steps, n_envs = rewards.shape
    buffer = RolloutBuffer(
        n_steps, OBSERVATIONS, ACTIONS, device="cpu", gamma=gamma, gae_lambda=gae_lambda, n_envs=n_envs
    )
    buffer.rewards, buffer.values, buffer.episode_starts = rewards.copy(), values.copy(), episode_starts.copy()
    buffer.compute_returns_and_advantage(torch.from_numpy(last_values.copy()), dones.copy())
    return buffer.advantages, buffer.returns


@dataclass(frozen=True)
class Update:
    """Losses that SB3's PPO logs for one gradient step, and the gradients of the step."""

    policy_loss: float
    value_loss: float
    entropy_loss: float
    loss: float
    """Whole loss: the sum of the three with their coefficients."""
    gradients: dict[str, NDArray[np.float32]]
    """Gradients of the whole loss with respect to log_prob, values and entropy, each [B]."""


def update(
    *,
    log_prob: NDArray[np.float32],
    old_log_prob: NDArray[np.float32],
    advantages: NDArray[np.float32],
    values: NDArray[np.float32] | None = None,
    old_values: NDArray[np.float32] | None = None,
    returns: NDArray[np.float32] | None = None,
    entropy: NDArray[np.float32] | None = None,
    clip_range: float = 0.2,
    clip_range_vf: float | None = None,
    ent_coef: float = 0.0,
    vf_coef: float = 0.0,
    normalize_advantage: bool = False,
) -> Update:
    """Run SB3's PPO.train() on one minibatch with these network outputs and stored values, each [B]; None is zeros.

    The policy returns the given log-probabilities, values and entropies, as leaves of the graph.
    """
    size = len(log_prob)
    zeros = np.zeros(size, np.float32)
    leaves = {
        name: torch.from_numpy((zeros if array is None else array).copy()).requires_grad_()
        for name, array in (("log_prob", log_prob), ("values", values), ("entropy", entropy))
    }
    model = _trainer()
    model.rollout_buffer = _memory(
        size,
        old_log_prob,
        advantages,
        zeros if old_values is None else old_values,
        zeros if returns is None else returns,
    )
    model.policy.crafted = leaves["values"], leaves["log_prob"], leaves["entropy"]
    model.batch_size, model.normalize_advantage = size, normalize_advantage
    model.ent_coef, model.vf_coef = ent_coef, vf_coef
    model.clip_range = FloatSchedule(clip_range)
    model.clip_range_vf = None if clip_range_vf is None else FloatSchedule(clip_range_vf)
    with np.errstate(all="ignore"):  # the explained variance, which is logged as well, may divide by zero
        model.train()
    logged = model.logger.name_to_value
    return Update(
        policy_loss=float(logged["train/policy_gradient_loss"]),
        value_loss=float(logged["train/value_loss"]),
        entropy_loss=float(logged["train/entropy_loss"]),
        loss=float(logged["train/loss"]),
        gradients={name: _gradient(leaf) for name, leaf in leaves.items()},
    )


def _gradient(leaf: Tensor) -> NDArray[np.float32]:
    gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    return np.asarray(gradient.numpy())


class _InOrder(RolloutBuffer):
    """SB3's buffer that yields one minibatch, not shuffled, so that sums have the order of the inputs."""

    def get(self, batch_size: int | None = None) -> Any:
        """Yield one minibatch with all transitions."""
        yield self._get_samples(np.arange(self.buffer_size))


class _CraftedPolicy(ActorCriticPolicy):
    """SB3's policy with tables in place of its networks."""

    crafted: tuple[Tensor, Tensor, Tensor]
    """Values, log-probabilities and entropies of the minibatch."""
    table: Tensor
    """Value of each state; an observation is the number of its state."""

    def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the crafted outputs; observations and actions are ignored."""
        return self.crafted

    def forward(self, obs: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Return action 0 for every state, the values of the states, and log-probabilities 0."""
        nothing = torch.zeros(len(obs))
        return nothing.long(), self.predict_values(obs), nothing

    def predict_values(self, obs: Any) -> Tensor:
        """Return values [B, 1] of the states."""
        return self.table[obs.long()]


def _memory(
    size: int,
    old_log_prob: NDArray[np.float32],
    advantages: NDArray[np.float32],
    old_values: NDArray[np.float32],
    returns: NDArray[np.float32],
) -> RolloutBuffer:
    buffer = _InOrder(size, OBSERVATIONS, ACTIONS, device="cpu")
    buffer.log_probs, buffer.advantages = old_log_prob[:, None].copy(), advantages[:, None].copy()
    buffer.values, buffer.returns = old_values[:, None].copy(), returns[:, None].copy()
    return buffer


class _Script(gym.Env[NDArray[np.float32], np.int64]):
    """Environment with scripted steps; its observations are the numbers of its states."""

    observation_space = OBSERVATIONS
    action_space = ACTIONS

    def __init__(self, steps: Sequence[tuple[float, bool, bool, int, int]] = (), first: int = 0) -> None:
        """Set the steps (reward, terminated, truncated, state reached, state after a reset) and the first state."""
        self._steps = list(steps)
        self._next = 0
        self._after_reset = first

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Return the scripted state after the last step, or the first state."""
        return np.array([self._after_reset], np.float32), {}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Return the next step of the script."""
        reward, terminated, truncated, reached, self._after_reset = self._steps[self._next]
        self._next += 1
        return np.array([reached], np.float32), reward, terminated, truncated, {}


@lru_cache(maxsize=1)
def _trainer() -> Any:
    return _model(DummyVecEnv([_Script]), 2)


def _model(env: Any, n_steps: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the warning that a minibatch holds one transition only
        model = PPO(
            _CraftedPolicy, env, n_steps=n_steps, batch_size=1, n_epochs=1, normalize_advantage=False, device="cpu",
            policy_kwargs={"net_arch": []},
        )  # fmt: skip
    model.set_logger(Logger(None, []))
    return model


def advantages_with_timeouts(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    last_values: NDArray[np.float32],
    terminal_values: NDArray[np.float32],
    terminations: NDArray[np.bool_],
    truncations: NDArray[np.bool_],
    gamma: float,
    gae_lambda: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the advantages and returns in the buffer of SB3's PPO after it has collected these steps.

    values: V of the states in which it acted, [T, N]; last_values: V of the states after the last step (after resets),
    [N]; terminal_values: V of the states that ended an episode, [T, N], read where one ended.
    """
    n_steps, n_envs = rewards.shape
    states = np.arange((n_steps + 1) * n_envs).reshape(n_steps + 1, n_envs)
    final = states[:-1] + states.size  # the numbers of the states that end episodes
    done = terminations | truncations
    reached = np.where(done, final, states[1:])
    scripts = [
        [
            (
                float(rewards[t, n]),
                bool(terminations[t, n]),
                bool(truncations[t, n]),
                int(reached[t, n]),
                int(states[t + 1, n]),
            )
            for t in range(n_steps)
        ]
        for n in range(n_envs)
    ]
    table = np.concatenate([values.ravel(), last_values, terminal_values.ravel()])
    model = _collector(n_envs)
    model.set_env(DummyVecEnv([partial(_Script, scripts[n], int(states[0, n])) for n in range(n_envs)]))
    model.policy.table = torch.from_numpy(table.astype(np.float32))
    model.gamma, model.gae_lambda, model.n_steps = gamma, gae_lambda, n_steps
    buffer = RolloutBuffer(
        n_steps, OBSERVATIONS, ACTIONS, device="cpu", gamma=gamma, gae_lambda=gae_lambda, n_envs=n_envs
    )
    _, callback = model._setup_learn(n_steps * n_envs)
    assert model.collect_rollouts(model.env, callback, buffer, n_rollout_steps=n_steps)
    return buffer.advantages, buffer.returns


@lru_cache(maxsize=8)
def _collector(n_envs: int) -> Any:
    return _model(DummyVecEnv([_Script] * n_envs), 2)


DISTRIBUTIONS = ("categorical", "multi_categorical", "bernoulli", "diag_gaussian", "squashed_gaussian", "gsde")


def distribution(name: str, parameters: Sequence[Any]) -> distributions.Distribution:
    """Return SB3's distribution with these parameters: tensors, and for "multi_categorical" a list of sizes."""
    first = parameters[0]
    if name == "categorical":
        return distributions.CategoricalDistribution(first.shape[1]).proba_distribution(first)
    if name == "multi_categorical":
        return distributions.MultiCategoricalDistribution(parameters[1]).proba_distribution(first)
    if name == "bernoulli":
        return distributions.BernoulliDistribution(first.shape[1]).proba_distribution(first)
    if name == "diag_gaussian":
        return distributions.DiagGaussianDistribution(first.shape[1]).proba_distribution(*parameters)
    if name == "squashed_gaussian":
        return distributions.SquashedDiagGaussianDistribution(first.shape[1]).proba_distribution(*parameters)
    return distributions.StateDependentNoiseDistribution(first.shape[1]).proba_distribution(*parameters)
