"""The numbers of the first updates of two implementations, side by side.

Both train under the same seed, environments and settings, one after the other, so that neither draws from the other's
random stream. SB3 is observed while it runs, through its callbacks, its logger and PyTorch's optimiser hooks; nothing
of it is computed again here.
"""

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import KVWriter, Logger

from harness.algorithms import load_algorithm
from harness.crosscheck.differences import QUANTITIES, Differences, largest_difference
from harness.envs import check_environment
from harness.errors import HarnessError

__all__ = ["SETTINGS", "Recording", "compare_numbers", "record"]

SETTINGS: Mapping[str, Any] = {
    "n_steps": 64,
    "batch_size": 48,  # does not divide 2 * 64: the last minibatch is smaller
    "n_epochs": 4,
    "learning_rate": 3e-3,  # large enough for the policy to move, so that clipping is at work
    "clip_range": 0.1,
    "clip_range_vf": 0.2,
    "ent_coef": 0.01,
    "gamma": 0.98,
}
"""Short rollouts, and every term of the loss at work."""

N_ENVS = 2


@dataclass
class Recording:
    """What was seen of one implementation: for each quantity an array for each update (or each optimiser step)."""

    arrays: dict[str, list[NDArray[Any]]] = field(default_factory=lambda: {name: [] for name in QUANTITIES})

    def add(self, quantity: str, array: Any) -> None:
        """Remember a copy."""
        self.arrays[quantity].append(np.array(array))


def compare_numbers(
    subject: str, reference: str, envs: Sequence[str], seeds: Sequence[int], n_updates: int
) -> list[Differences]:
    """The largest differences for every environment and seed; raises UnknownNameError for what does not exist."""
    for env in envs:
        check_environment(env)
    found = []
    for env in envs:
        for seed in seeds:
            theirs = record(reference, env, seed, n_updates)
            ours = record(subject, env, seed, n_updates)
            differences = {name: largest_difference(ours.arrays[name], theirs.arrays[name]) for name in QUANTITIES}
            found.append(Differences(env, seed, differences, len(theirs.arrays["gradients"])))
    return found


def record(algorithm: str, env_id: str, seed: int, n_updates: int) -> Recording:
    """Train for n_updates updates and remember what is there to see; the global random state is left as it was."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002  it is SB3's
    env = make_vec_env(env_id, n_envs=N_ENVS, seed=seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the last minibatch is smaller is on purpose
            model = _constructor(algorithm)("MlpPolicy", env, seed=seed, device="cpu", **SETTINGS)
        recording = Recording()
        recording.add("parameters", _vector(model.policy.parameters()))
        model.set_logger(Logger(None, [_LossWriter(recording)]))
        _watch_gradients(model, recording)
        model.learn(n_updates * N_ENVS * SETTINGS["n_steps"], callback=_RolloutRecorder(recording))
        model.logger.dump()  # what the last update logged
    finally:
        env.close()
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
    return recording


def _constructor(algorithm: str) -> type[Any]:
    """The class; raises HarnessError when it does not take PPO's arguments."""
    constructor = load_algorithm(algorithm)
    accepted = inspect.signature(constructor).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
        missing = [name for name in (*SETTINGS, "seed", "device") if name not in accepted]
        if missing:
            raise HarnessError(f"{algorithm}: takes no {', '.join(missing)}; only PPOs can be held against each other")
    return constructor


class _RolloutRecorder(BaseCallback):
    """Sees advantages and returns when a rollout ends, before the update."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self.recording = recording

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        buffer = self.model.rollout_buffer  # type: ignore[attr-defined]
        self.recording.add("advantages", buffer.advantages)
        self.recording.add("returns", buffer.returns)


class _LossWriter(KVWriter):
    """Sees the losses that an implementation logs: means over the minibatches of one update."""

    LOGGED: Mapping[str, str] = {
        "train/policy_gradient_loss": "policy loss",
        "train/policy_loss": "policy loss",
        "train/value_loss": "value loss",
    }

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Called by SB3's logger with everything recorded since the last dump."""
        for key, quantity in self.LOGGED.items():
            if key in key_values:
                self.recording.add(quantity, key_values[key])

    def close(self) -> None:
        """Nothing is open."""


def _watch_gradients(model: Any, recording: Recording) -> None:
    """See every clipped gradient, and the parameters after every step."""

    def before_step(*_: Any) -> None:
        recording.add("gradients", _vector(p.grad for p in model.policy.parameters() if p.grad is not None))

    def after_step(*_: Any) -> None:
        recording.add("parameters", _vector(model.policy.parameters()))

    agent = getattr(model, "agent", None)
    if agent is not None and hasattr(agent, "observer"):
        # Hooks would make CustomPPO leave its fused engine, which is just what has to be checked.
        def after(stage: str) -> None:
            if stage == "step":
                before_step()  # the clipped gradient is still there
                after_step()

        agent.observer = after
    else:
        model.policy.optimizer.register_step_pre_hook(before_step)
        model.policy.optimizer.register_step_post_hook(after_step)


def _vector(tensors: Any) -> NDArray[np.float32]:
    parts = [tensor.detach().cpu().numpy().ravel() for tensor in tensors]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)
