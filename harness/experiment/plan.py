"""Plan an experiment: one `RunSpec` for each algorithm, environment and seed of an `ExperimentConfig`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from harness.config.experiment import ExperimentConfig

__all__ = ["RunSpec", "plan"]

_TYPES: Mapping[type, tuple[str, ...]] = {
    str: ("algo", "algo_class", "env"),
    int: ("seed", "n_timesteps", "eval_freq", "n_eval_episodes", "n_final_episodes"),
    Mapping: ("hyperparams",),
}


@dataclass(frozen=True)
class RunSpec:
    """Settings that determine the outcome of one training run, and no others.

    Two runs with equal specs on the same machine and package versions end with bit-identical parameters.
    The spec is plain data: it is sent to worker processes, written into `run.json`, and hashed by `digest`.
    """

    algo: str
    """Label of the algorithm: its name in tables and figures, and of its folder of results."""

    algo_class: str
    """Class that is trained: a registered name ("custom_ppo", "ppo", "a2c", ...) or "package.module:Class"."""

    env: str
    """Gymnasium id, such as "CartPole-v1"."""

    seed: int
    """Seed of the networks, the sampled actions, the minibatches and the environments."""

    n_timesteps: int
    """Number of environment steps to train for, summed over all parallel environments."""

    eval_freq: int
    """Environment steps between two deterministic evaluations during training, counted like n_timesteps."""

    n_eval_episodes: int
    """Episodes of each evaluation during training."""

    n_final_episodes: int
    """Episodes of the evaluation after training, whose mean is the run's score."""

    hyperparams: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Zoo-style entry for this algorithm and environment, unprocessed ("lin_0.001" is still text) and without
    n_timesteps. Keys as in rl_zoo3: policy, n_envs, normalize, policy_kwargs, learning_rate, ..."""

    @property
    def run_dir(self) -> str:
        """Folder of this run below `runs/`, in rl_zoo3's layout: "ppo/CartPole-v1_1" holds seed 0."""
        return f"{self.algo.replace(':', '.')}/{self.env.replace('/', '-')}_{self.seed + 1}"

    @property
    def label(self) -> str:
        """Name of this run in messages: "ppo CartPole-v1 seed 0"."""
        return f"{self.algo} {self.env} seed {self.seed}"

    @cached_property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of the spec as canonical JSON, which identify the spec."""
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def as_dict(self) -> dict[str, Any]:
        """Return the spec as plain JSON data."""
        return {**asdict(self), "hyperparams": dict(self.hyperparams)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunSpec:
        """Return the spec from the data of `as_dict`; raise TypeError for unknown keys."""
        return cls(**data)

    def check_types(self) -> None:
        """Raise TypeError if a field of a spec that was read is not of the type it is used as."""
        for kind, names in _TYPES.items():
            for name in names:
                value = getattr(self, name)
                if isinstance(value, bool) or not isinstance(value, kind):
                    raise TypeError(f"spec: {name} is {value!r:.50}")


def plan(config: ExperimentConfig) -> tuple[RunSpec, ...]:
    """Return every run of the experiment, sorted by seed, then environment, then algorithm.

    Seeds come first, so that an interrupted comparison has (nearly) the same seeds of every algorithm.
    """
    evaluation = config.evaluation
    return tuple(
        RunSpec(
            algo=algorithm.label,
            algo_class=algorithm.algo_class,
            env=environment.env,
            seed=seed,
            n_timesteps=environment.n_timesteps,
            eval_freq=environment.n_timesteps // evaluation.n_evaluations,
            n_eval_episodes=evaluation.n_eval_episodes,
            n_final_episodes=evaluation.n_final_episodes,
            hyperparams=algorithm.hyperparams[environment.env],
        )
        for seed in config.seeds
        for environment in config.environments
        for algorithm in config.algorithms
    )
