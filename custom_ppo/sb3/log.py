"""Numbers for SB3's logger, under SB3's keys and in SB3's types."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.utils import safe_mean

from custom_ppo.agent import UpdateReport
from custom_ppo.memory import TrajectoryMemory
from custom_ppo.recipe import SB3_PPO

__all__ = ["log_progress", "log_update", "mean", "variance_explained"]


def log_update(model: Any, report: UpdateReport) -> None:
    """Log an update of PPO: losses, KL, clipping, and the hyperparameters that have schedules."""
    log = model.logger.record
    log("train/learning_rate", report.config.learning_rate)
    log("train/entropy_loss", mean(report.entropy_losses))
    log("train/policy_gradient_loss", mean(report.policy_losses))
    log("train/value_loss", mean(report.value_losses))
    log("train/approx_kl", mean(report.approx_kls))  # of the last epoch alone, as in SB3
    log("train/clip_fraction", mean(report.clip_fractions))
    log("train/loss", report.loss)  # of the last minibatch alone, while the terms above are means: as in SB3
    log("train/explained_variance", variance_explained(model.rollout_buffer))
    if hasattr(model.policy, "log_std"):
        log("train/std", torch.exp(model.policy.log_std).mean().item())
    log("train/n_updates", model._n_updates, exclude="tensorboard")
    log("train/clip_range", report.config.clip_range)
    if model.recipe.adapt_penalty is not SB3_PPO.adapt_penalty:
        log("train/beta", report.config.beta)
    if report.config.clip_range_vf is not None:
        log("train/clip_range_vf", report.config.clip_range_vf)


def variance_explained(memory: TrajectoryMemory) -> Any:
    """Return the share of the variance of the returns that the values explain: 1 - Var[R - V] / Var[R], or NaN."""
    # Environment after environment, as SB3 flattens its buffer: the order decides the last bits of the variance.
    values, returns = memory.values.T.flatten(), memory.returns.T.flatten()
    variance = _variance(returns)
    return np.nan if variance == 0 else float(1 - _variance(returns - values) / variance)


def mean(numbers: Sequence[Any]) -> Any:
    """Return `np.mean` of a list of numbers of one type, to the same bits and in the same type."""
    if not len(numbers):
        return np.mean(numbers)  # NaN, with a warning
    array = np.asarray(numbers)
    return array.dtype.type(np.add.reduce(array) / np.intp(len(array)))


def _variance(x: NDArray[Any]) -> Any:
    """Return `np.var` of float32 [n] to the same bits: the operations of NumPy's `_var`, without the rest of its code.

    That takes longer than the sums of a rollout of a few steps.
    """
    n = np.intp(len(x))  # not an int, with which float32 is divided in float32
    centre = np.add.reduce(x, keepdims=True)
    np.true_divide(centre, n, centre, casting="unsafe")
    distance = np.subtract(x, centre)
    np.multiply(distance, distance, distance)
    return x.dtype.type(np.add.reduce(distance) / n)


def log_progress(model: Any, iteration: int) -> None:
    """Log speed, and the mean return and length of the last episodes; iteration: number of rollouts, or 0."""
    time_elapsed = max((time.time_ns() - model.start_time) / 1e9, sys.float_info.epsilon)
    log = model.logger.record
    if iteration > 0:
        log("time/iterations", iteration, exclude="tensorboard")
    if len(model.ep_info_buffer) > 0 and len(model.ep_info_buffer[0]) > 0:
        log("rollout/ep_rew_mean", safe_mean([episode["r"] for episode in model.ep_info_buffer]))
        log("rollout/ep_len_mean", safe_mean([episode["l"] for episode in model.ep_info_buffer]))
    log("time/fps", int((model.num_timesteps - model._num_timesteps_at_start) / time_elapsed))
    log("time/time_elapsed", int(time_elapsed), exclude="tensorboard")
    log("time/total_timesteps", model.num_timesteps, exclude="tensorboard")
    if len(model.ep_success_buffer) > 0:
        log("rollout/success_rate", safe_mean(list(model.ep_success_buffer)))
