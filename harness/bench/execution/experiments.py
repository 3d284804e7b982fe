"""Experiments that are timed, as texts of experiment files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from harness.bench.execution.timeline import N_PARTS

__all__ = [
    "LOOP_ENV",
    "LOOP_HYPERPARAMS",
    "N_LOOP_EPISODES",
    "N_LOOP_EVALUATIONS",
    "Sizes",
    "loop",
    "one_step",
    "real",
    "tiny",
]

LOOP_ENV = "CartPole-v1"
N_LOOP_EVALUATIONS, N_LOOP_EPISODES = 4, 5

LOOP_HYPERPARAMS: Mapping[str, Any] = {
    "policy": "MlpPolicy",
    "n_envs": 8,
    "n_steps": 32,
    "batch_size": 256,
    "n_epochs": 20,
    "gamma": 0.98,
    "gae_lambda": 0.8,
    "ent_coef": 0.0,
    "learning_rate": "lin_0.001",
    "clip_range": "lin_0.2",
}
"""Hyperparameters of rl_zoo3 for PPO on CartPole-v1, except for n_timesteps, which are few."""


@dataclass(frozen=True)
class Sizes:
    """Numbers of runs and environment steps of the experiments; the defaults take eight minutes on two cores."""

    one_step_runs: int = 40
    tiny_runs: int = 1_000
    real_steps: int = 12_000
    pairs: int = 3
    """Pairs of the same experiment with one worker and with two."""
    loop_runs: int = 12
    loop_steps: int = 5_120

    def scaled(self, scale: float, pairs: int) -> Sizes:
        """Return a multiple of all numbers of runs and steps, as small as can be measured, and at most so many pairs.

        The runs of the loop stay twelve, unless they would be more than a multiple of one.
        """
        smaller = min(scale, 1.0)
        return Sizes(
            max(round(scale * self.one_step_runs), 2),
            max(round(scale * self.tiny_runs), N_PARTS),
            max(round(scale * self.real_steps), 256),
            min(pairs, self.pairs),
            max(round(smaller * self.loop_runs), 2),
            max(round(scale * self.loop_steps), 256),
        )


_SMALLEST: Mapping[str, Any] = {"policy": "MlpPolicy", "n_steps": 2, "batch_size": 2, "n_epochs": 1}
_SHORT_REPORT = {"n_bootstrap": 50}


def one_step(n_runs: int) -> str:
    """Return an experiment of runs with a single update after two steps, the fewest that PPO can make."""
    return _text(
        algorithms=["custom_ppo"],
        environments={"CartPole-v1": {"n_timesteps": 1}},
        seeds=n_runs,
        evaluation={"n_evaluations": 1, "n_eval_episodes": 1, "n_final_episodes": 1},
        hyperparameters={"custom_ppo": {"default": dict(_SMALLEST)}},
    )


def tiny(n_runs: int) -> str:
    """Return an experiment of runs of 64 steps."""
    return _text(
        algorithms=["custom_ppo"],
        environments={"CartPole-v1": {"n_timesteps": 64}},
        seeds=n_runs,
        evaluation={"n_evaluations": 2, "n_eval_episodes": 1, "n_final_episodes": 1},
        hyperparameters={"custom_ppo": {"default": {**_SMALLEST, "n_steps": 32, "batch_size": 32}}},
    )


def real(n_timesteps: int) -> str:
    """Return an experiment of eight runs of about equal length, as people train them: two environments, four seeds."""
    return _text(
        algorithms=["ppo"],
        environments={env: {"n_timesteps": n_timesteps} for env in ("CartPole-v1", "Acrobot-v1")},
        seeds=4,
        evaluation={"n_evaluations": 5, "n_eval_episodes": 5, "n_final_episodes": 10},
        hyperparameters={"ppo": {"default": dict(LOOP_HYPERPARAMS)}},
    )


def loop(algo: str, n_runs: int, n_timesteps: int) -> str:
    """Return the experiment that does what the shell loop does, with as many evaluations.

    algo: "ppo" or "custom_ppo".
    """
    return _text(
        algorithms=[algo],
        environments={LOOP_ENV: {"n_timesteps": n_timesteps}},
        seeds=n_runs,
        evaluation={
            "n_evaluations": N_LOOP_EVALUATIONS,
            "n_eval_episodes": N_LOOP_EPISODES,
            "n_final_episodes": N_LOOP_EPISODES,
        },
        hyperparameters={algo: {"default": dict(LOOP_HYPERPARAMS)}},
    )


def _text(**sections: Any) -> str:
    return yaml.safe_dump({"name": "bench", **sections, "statistics": dict(_SHORT_REPORT)}, sort_keys=False)
