"""Advice to users: warnings in SB3's words, so that filters written for SB3's apply, and information."""

from __future__ import annotations

import warnings
from functools import cache

__all__ = ["print_once", "recommend_cpu", "warn_of_truncated_minibatch"]


@cache
def print_once(line: str) -> None:
    """Print a line of information, once per process however many models are made.

    A print like SB3's at verbose=1, and not a warning: tests that turn warnings into errors would fail otherwise.
    """
    print(line)  # noqa: T201


def warn_of_truncated_minibatch(n_steps: int, n_envs: int, batch_size: int, *, stacklevel: int) -> None:
    """Warn that batch_size does not divide the rollout, so that the last minibatch of every epoch is smaller."""
    rollout_size = n_steps * n_envs
    warnings.warn(
        f"You have specified a mini-batch size of {batch_size},"
        f" but because the `RolloutBuffer` is of size `n_steps * n_envs = {rollout_size}`,"
        f" after every {rollout_size // batch_size} untruncated mini-batches,"
        f" there will be a truncated mini-batch of size {rollout_size % batch_size}\n"
        "We recommend using a `batch_size` that is a factor of `n_steps * n_envs`.\n"
        f"Info: (n_steps={n_steps} and n_envs={n_envs})",
        UserWarning,
        stacklevel=stacklevel,
    )


def recommend_cpu(algorithm: str, policy: str, *, stacklevel: int) -> None:
    """Warn that an algorithm with a small network is trained on a GPU."""
    warnings.warn(
        f"You are trying to run {algorithm} on the GPU, "
        "but it is primarily intended to run on the CPU when not using a CNN policy "
        f"(you are using {policy} which should be a MlpPolicy). "
        "See https://github.com/DLR-RM/stable-baselines3/issues/1245 for more info. "
        "You can pass `device='cpu'` or `export CUDA_VISIBLE_DEVICES=` to force using the CPU."
        "Note: The model will train, but the GPU utilization will be poor and "
        "the training might take longer than on CPU.",
        UserWarning,
        stacklevel=stacklevel,
    )
