"""Local variables of SB3's `collect_rollouts` for the callbacks of a lean rollout, if any of them can read it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common import callbacks as sb3
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from custom_ppo.agent import to_tensor
from custom_ppo.memory import Observation, TrajectoryMemory

__all__ = ["LocalVariables", "reads_no_locals"]

_READ_NO_LOCALS: Mapping[type[BaseCallback], tuple[str, ...]] = {
    sb3.CallbackList: ("callbacks",),
    sb3.CheckpointCallback: (),
    sb3.ConvertCallback: ("callback",),
    sb3.EvalCallback: ("callback", "callback_on_new_best"),
    sb3.EveryNTimesteps: ("callback",),
    sb3.LogEveryNTimesteps: (),
    sb3.ProgressBarCallback: (),  # reads one of learn(), when training starts
    sb3.StopTrainingOnNoModelImprovement: (),
    sb3.StopTrainingOnRewardThreshold: (),
}
"""Callbacks of SB3 that read no local variable of a rollout -> their attributes that hold further callbacks."""

_CHILDREN = ("callback", "callback_on_new_best", "callbacks")
_METHODS = ("on_step", "_on_step", "update_locals", "update_child_locals")


def reads_no_locals(callback: Any) -> bool:
    """Return True if neither a callback nor one below it reads `self.locals` during a rollout.

    Known are callbacks of SB3, and classes that say so themselves: by `reads_locals = False` in their own body. A
    subclass must say it again.
    """
    if callback is None:
        return True
    cls = type(callback)
    children = _READ_NO_LOCALS.get(cls)
    if children is None and vars(cls).get("reads_locals") is False:
        children = _CHILDREN
    if children is None or not vars(callback).keys().isdisjoint(_METHODS):
        return False
    found = [vars(callback).get(name) for name in children]
    return all(
        all(map(reads_no_locals, child)) if isinstance(child, list) else reads_no_locals(child) for child in found
    )


def _with_own_rows(memory: TrajectoryMemory) -> TrajectoryMemory:
    """Return a memory with other arrays for what an actor writes, and the same for everything else."""
    rows = copy(memory)
    rows.values, rows.log_probs = np.empty_like(memory.values), np.empty_like(memory.log_probs)
    return rows


class LocalVariables:
    """Local variables of SB3's loop for callbacks that may read, keep or change them.

    The actor writes into `rows`. The memory gets a row after the callbacks, as in SB3: they see an empty one, and what
    they change in place is remembered.
    """

    def __init__(
        self, model: Any, env: VecEnv, callback: BaseCallback, memory: TrajectoryMemory, n_rollout_steps: int
    ) -> None:
        self.agent = model.agent
        self.callback = callback
        self.memory = memory
        self.rows = _with_own_rows(memory)
        self.discrete = isinstance(memory.action_space, spaces.Discrete)
        self.shape = memory.action_space.shape or ()
        self.variables: dict[str, Any] = {
            "self": model,
            "env": env,
            "callback": callback,
            "rollout_buffer": memory,
            "n_rollout_steps": n_rollout_steps,
        }

    def on_step(
        self,
        step: int,
        observations: Observation,
        actions: NDArray[Any],
        env_actions: NDArray[Any],
        next_observations: Any,
        rewards: NDArray[Any],
        dones: NDArray[np.bool_],
        infos: Any,
    ) -> bool:
        """Call the callbacks after a step that is not remembered yet; returns False if one stops training."""
        memory, variables = self.memory, self.variables
        values, log_probs = self.rows.values[step], self.rows.log_probs[step]
        variables["n_steps"] = step
        variables["obs_tensor"] = to_tensor(observations, self.agent.device)
        variables["actions"] = actions if self.discrete else actions.reshape(-1, *self.shape)
        variables["values"] = torch.from_numpy(values[:, None])  # [N] -> [N, 1]
        variables["log_probs"] = torch.from_numpy(log_probs)
        variables["clipped_actions"] = env_actions
        variables["new_obs"] = next_observations
        variables["rewards"] = rewards
        variables["dones"] = dones
        variables["infos"] = infos
        self._show()
        if not self.callback.on_step():
            return False
        memory.values[step] = values
        memory.log_probs[step] = log_probs
        variables["idx"], variables["done"] = len(dones) - 1, dones[-1]
        return True

    def _show(self) -> None:
        """Give the variables to the callbacks."""
        # Of the steps before: this one is bootstrapped after the callbacks.
        if self.agent.last_timeout is not None:
            self.variables["terminal_obs"], self.variables["terminal_value"] = self.agent.last_timeout
        self.callback.update_locals(self.variables)

    def show_end(self, actions: NDArray[Any], values: Tensor) -> None:
        """Give the callbacks the variables after the last step: its actions, [N] or [N, A], and V of what follows."""
        self.variables["n_steps"] += 1
        if self.discrete:
            self.variables["actions"] = actions.reshape(-1, 1)
        self.variables["values"] = values
        self._show()
