"""Callbacks of every run, for all algorithms: evaluation, trust region, progress.

None of them draws a random number, so that a run with them is bit-identical to one without.
"""

from __future__ import annotations

import textwrap
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv, sync_envs_normalization

from harness.training.envs import save_normalization
from harness.training.evaluation import Episodes, evaluated
from harness.training.lean_predictions import lean_predictions
from harness.training.progress import Progress

__all__ = [
    "RATIO_QUANTILES",
    "Evaluation",
    "ProgressReporter",
    "SaveNormalization",
    "Stopwatch",
    "TrustRegion",
]

RATIO_QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)


class Stopwatch:
    """Seconds that callbacks spent during `learn()`, which are not training time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def paused_training(self) -> Iterator[None]:
        """Add the time spent in the `with` block to `seconds`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start


class Evaluation(EvalCallback):
    """SB3's EvalCallback with the harness's own evaluation: deterministic, silent, and timed by a stopwatch.

    It writes the same files and the same rows of the logger.
    """

    reads_locals = False  # CustomPPO then makes none at every step

    def __init__(self, eval_env: VecEnv, watch: Stopwatch, **kwargs: Any) -> None:
        super().__init__(eval_env, deterministic=True, verbose=0, **kwargs)
        self.watch = watch

    def _on_step(self) -> bool:
        if self.eval_freq <= 0 or self.n_calls % self.eval_freq != 0:
            return True
        with self.watch.paused_training():
            if self.model.get_vec_normalize_env() is not None:
                sync_envs_normalization(self.training_env, self.eval_env)
            with lean_predictions(self.model):
                episodes = evaluated(self.model, self.eval_env, self.n_eval_episodes)
            self._write(episodes)
            return self._save_best(float(np.mean(episodes.returns)))

    def _write(self, episodes: Episodes) -> None:
        """Write evaluations.npz, and a row of the logger."""
        self.evaluations_timesteps.append(self.num_timesteps)
        self.evaluations_results.append(episodes.returns)
        self.evaluations_length.append(episodes.lengths)
        arrays: dict[str, Any] = {
            "timesteps": self.evaluations_timesteps,
            "results": self.evaluations_results,
            "ep_lengths": self.evaluations_length,
        }
        if episodes.successes:
            self.evaluations_successes.append(episodes.successes)
            arrays["successes"] = self.evaluations_successes
        if self.log_path is not None:
            np.savez(self.log_path, **arrays)
        self.logger.record("eval/mean_reward", float(np.mean(episodes.returns)))
        self.logger.record("eval/mean_ep_length", np.mean(episodes.lengths))
        if episodes.successes:
            self.logger.record("eval/success_rate", np.mean(episodes.successes))
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.dump(self.num_timesteps)

    def _save_best(self, mean_return: float) -> bool:
        """Save the model if it is better than all before; return False if a callback stops the training."""
        self.last_mean_reward = mean_return
        if mean_return <= self.best_mean_reward or np.isnan(mean_return):
            return True
        self.best_mean_reward = mean_return
        if self.best_model_save_path is not None:
            self.model.save(Path(self.best_model_save_path) / "best_model")
        return self.callback_on_new_best is None or self.callback_on_new_best.on_step()


class SaveNormalization(BaseCallback):
    """Saves the statistics of VecNormalize, if there is one, in the file where rl_zoo3 expects them."""

    reads_locals = False  # CustomPPO then makes none at every step

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def _on_step(self) -> bool:
        normalization = self.model.get_vec_normalize_env()
        if normalization is not None:
            save_normalization(normalization, self.path)
        return True


@dataclass(frozen=True)
class Rollout:
    """Arrays [T, N, ...] of a rollout from which the change of the policy is measured."""

    observations: Any
    actions: np.ndarray[Any, Any]
    log_probs: np.ndarray[Any, Any]
    action_masks: np.ndarray[Any, Any] | None = None
    """Valid actions, for MaskablePPO."""


class TrustRegion(BaseCallback):
    """Measures the change of the policy in each update: quantiles of pi_new(a|s) / pi_old(a|s) over the rollout.

    PPO's clipping is meant to bound this ratio; it is defined for A2C as well. The next dump of the logger contains
    `update/ratio_q01` ... `update/ratio_q99`, and `update/kl`, the k3 estimate of KL(pi_old, pi_new).
    About `n_measurements` updates of a run are measured, evenly spaced.

    Algorithms without a rollout buffer of log-probabilities (off-policy) are skipped, and so are policies that need
    more than the observation to evaluate an action (recurrent): a failed measurement never ends a run.
    """

    reads_locals = False  # CustomPPO then makes none at every step

    def __init__(self, watch: Stopwatch, n_timesteps: int, n_measurements: int = 200) -> None:
        super().__init__()
        self.watch = watch
        self.interval = n_timesteps / n_measurements
        self.next_measurement = 0.0
        self.rollout: Rollout | None = None
        self.enabled = True

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        buffer: Any = getattr(self.model, "rollout_buffer", None)
        if not self.enabled or not hasattr(buffer, "log_probs") or self.num_timesteps < self.next_measurement:
            return
        self.next_measurement = self.num_timesteps + self.interval
        # No copies: the buffer allocates new arrays at its next reset and leaves these unchanged.
        self.rollout = Rollout(
            buffer.observations, buffer.actions, buffer.log_probs, getattr(buffer, "action_masks", None)
        )

    # SB3 calls no callback after an update: the next rollout, or the end of training, is the first chance to measure.
    def _on_rollout_start(self) -> None:
        self.measure()

    def _on_training_end(self) -> None:
        self.measure()

    def measure(self) -> None:
        """Measure the last update, unless that was done already or it is none of those to be measured."""
        if self.rollout is None:
            return
        rollout, self.rollout = self.rollout, None
        with self.watch.paused_training():
            try:
                log_ratio = self._log_ratio(rollout)
            except (TypeError, ValueError, RuntimeError, AttributeError) as error:
                self.enabled = False
                cause = textwrap.shorten(str(error), 200, placeholder=" ...")  # the message may print a whole batch
                warnings.warn(f"the probability ratio cannot be measured for this policy: {cause}", stacklevel=2)
                return
            for quantile, value in zip(RATIO_QUANTILES, np.quantile(np.exp(log_ratio), RATIO_QUANTILES), strict=True):
                self.logger.record(f"update/ratio_q{round(100 * quantile):02d}", float(value))
            self.logger.record("update/kl", float(np.mean(np.expm1(log_ratio) - log_ratio)))

    @torch.no_grad()
    def _log_ratio(self, rollout: Rollout) -> np.ndarray[Any, Any]:
        """Return log pi_new(a|s) - log pi_old(a|s) of every transition, float64 [T * N]."""
        policy: Any = self.model.policy
        actions = torch.as_tensor(_merged(rollout.actions), device=self.model.device)
        actions = actions.flatten() if not self.model.action_space.shape else actions.float()
        observations = rollout.observations
        merged = (
            {key: _merged(array) for key, array in observations.items()}
            if isinstance(observations, dict)
            else _merged(observations)
        )
        masks = {} if rollout.action_masks is None else {"action_masks": _merged(rollout.action_masks)}
        _, log_prob, _ = policy.evaluate_actions(obs_as_tensor(merged, self.model.device), actions, **masks)
        difference: np.ndarray[Any, Any] = log_prob.cpu().numpy().astype(np.float64) - _merged(rollout.log_probs)
        return difference


def _merged(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Reshape [T, N, ...] to [T * N, ...]."""
    merged: np.ndarray[Any, Any] = array.reshape(-1, *array.shape[2:])
    return merged


class ProgressReporter(BaseCallback):
    """Calls `report` with the progress at most once every `seconds` seconds, so that its cost is negligible."""

    reads_locals = False  # CustomPPO then makes none at every step

    def __init__(self, report: Callable[[Progress], None], seconds: float = 0.25) -> None:
        super().__init__()
        self.report = report
        self.seconds = seconds
        self.last = 0.0

    def _on_step(self) -> bool:
        now = time.monotonic()
        if now - self.last >= self.seconds:
            self.last = now
            episodes = self.model.ep_info_buffer
            mean = float(np.mean([episode["r"] for episode in episodes])) if episodes else float("nan")
            self.report(Progress(self.num_timesteps, mean))
        return True
