"""Measure for a second or two how fast an algorithm trains and how fast its policy is evaluated."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from harness.experiment.plan import RunSpec
from harness.training.action_masks import mask_argument
from harness.training.envs import lean_classes, make_eval_env, make_training_env
from harness.training.findings import Speed
from harness.training.lean_predictions import lean_predictions
from harness.training.models import build_model

__all__ = ["measure_speed"]

TRAINING_SECONDS = 0.5
"""Time of the processor, which other processes do not prolong."""
EVALUATION_SECONDS = 0.25
N_EPISODES = 10
UNLIMITED_LENGTH = 1_000
WARM_UP = 100
"""Steps before the first update of an off-policy algorithm while it is measured."""


class _Clock(BaseCallback):
    """Notes processor time and steps at every start of a rollout; ends training after whole rollouts."""

    reads_locals = False

    def __init__(self, warm_up: int, seconds: float, most_seconds: float) -> None:
        super().__init__()
        self.warm_up = warm_up
        self.seconds = seconds
        self.most_seconds = most_seconds
        self.marks: list[tuple[float, int]] = []

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self.warm_up:
            self.marks.append((time.process_time(), self.num_timesteps))

    def _on_step(self) -> bool:
        if not self.marks:
            return True
        (start, _), (latest, _) = self.marks[0], self.marks[-1]
        return latest - start < self.seconds and time.process_time() - start < self.most_seconds

    @property
    def speed(self) -> float:
        """Steps per second over whole rollouts and their updates, or over the first rollout if no other began."""
        if len(self.marks) < 2:
            self.marks.append((time.process_time(), self.num_timesteps))
        (start, first), (end, last) = self.marks[0], self.marks[-1]
        return max(last - first, 1) / max(end - start, 1e-9)


def measure_speed(spec: RunSpec, *, seconds: float = TRAINING_SECONDS) -> Speed:
    """Return the speed of training and of evaluating one run, and the length of its episodes."""
    classes = lean_classes()
    is_off_policy = "learning_starts" in spec.hyperparams or spec.algo_class in {"sac", "td3", "ddpg", "dqn", "tqc"}
    changes: Mapping[str, Any] = {"learning_starts": WARM_UP} if is_off_policy else {}
    env = make_training_env(spec, None, classes=classes)
    try:
        model = build_model(spec, env, **changes)
        clock = _Clock(WARM_UP if is_off_policy else 0, seconds, 10 * seconds)
        model.learn(10**9, callback=clock)
    finally:
        env.close()
    evaluation = make_eval_env(spec, spec.seed, N_EPISODES, classes=classes)
    try:
        with lean_predictions(model):
            evaluated = _evaluation_speed(model, evaluation)
        lengths = evaluation.get_attr("spec")
    finally:
        evaluation.close()
    length = next((spec.max_episode_steps for spec in lengths if spec is not None and spec.max_episode_steps), None)
    return Speed(clock.speed, evaluated, length or UNLIMITED_LENGTH)


def _evaluation_speed(model: Any, env: Any) -> float:
    observations: Any = env.reset()
    n_steps, start = 0, time.process_time()
    while (elapsed := time.process_time() - start) < EVALUATION_SECONDS:
        actions, _ = model.predict(observations, deterministic=True, **mask_argument(model, env))
        observations, *_ = env.step(actions)
        n_steps += env.num_envs
    return n_steps / elapsed
