"""Cases in which each deviation has an effect: the stress profile's, and a few for what these lack."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import nn

from harness.catalogue import Deviation
from harness.catalogue.deviant import DeviantA2C, DeviantPPO
from harness.crosscheck.comparing.divergence import array_difference
from harness.crosscheck.profiles import STRESS, Case
from harness.crosscheck.tracing.construction import accepted_settings
from harness.crosscheck.tracing.modes import TracingMode
from harness.crosscheck.tracing.trace import Trace
from harness.crosscheck.tracing.traced_run import trace_run

__all__ = ["CASES", "case_of", "divergence", "trace"]


class Snow(gym.Env[Any, Any]):
    """Images of noise, whose mean is the reward."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(0, 255, (36, 36, 1), np.uint8)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self._picture(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        picture = self._picture()
        return picture, float(picture.mean()) / 255, False, False, {}

    def _picture(self) -> Any:
        return self.np_random.integers(0, 256, (36, 36, 1), dtype=np.uint8)


gym.register("Snow-v0", Snow, max_episode_steps=5)


class Forgetful(nn.Module):
    """Features of which some are dropped in training mode."""

    def __init__(self, observation_space: Any) -> None:
        super().__init__()
        self.features_dim = observation_space.shape[0]
        self.layers = nn.Sequential(nn.Flatten(), nn.Dropout(0.5))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(observations)
        return found


def stress_case(env: str, **settings: Any) -> Case:
    case = next(case for case in STRESS.cases if case.env == env)
    return dataclasses.replace(case, settings={**case.settings, **settings})


CASES: Mapping[str, Case] = {
    **{case.env: case for case in STRESS.cases},
    "gSDE": stress_case("TightBounds", use_sde=True, sde_sample_freq=4),
    "one left over": stress_case("TightBounds", batch_size=21),
    "wild": stress_case("TightBounds", learning_rate=0.1, n_epochs=8),
    "values free": stress_case("TightBounds", clip_range_vf=None),
    "dropout": stress_case("TightBounds", policy_kwargs={"features_extractor_class": Forgetful}),
    "images": Case("Snow-v0", {"n_steps": 8, "batch_size": 8, "n_epochs": 1}, n_updates=1, policy="CnnPolicy"),
}

ELSEWHERE: Mapping[str, str] = {
    "images_not_scaled": "images",
    "collects_in_training_mode": "dropout",
    "sde_noise_drawn_while_learning": "gSDE",
    "sde_noise_teaches_features": "gSDE",
    "sde_sample_freq_ignored": "gSDE",
    "single_advantage_normalised": "one left over",
    "dual_clip": "wild",
    "value_clipped_by_clip_range": "values free",
    "probabilities_as_logits": "CartPole15",
    "clip_range_not_annealed": "CartPole15",
    "learning_rate_not_annealed": "CartPole15",
    "schedules_one_update_late": "CartPole15",
    "schedules_stand_still": "CartPole15",
    "schedules_reversed": "CartPole15",
    "rewards_clipped": "ManySwitches",
    "final_dones_ignored": "Pendulum20",
}
"""Deviation without effect in TightBounds -> environment in which it has one."""


def case_of(deviation: Deviation) -> Case:
    """Case in which the deviation has an effect."""
    by_divergence = "ManySwitches" if "kl" in deviation.id.split("_") else "TightBounds"
    return CASES[ELSEWHERE.get(deviation.id, by_divergence)]


@functools.cache
def baseline(name: str, algorithm: str) -> Trace:
    return trace(CASES[name], algorithm)


def trace(case: Case, algorithm: str = "ppo", aligned_with: Trace | None = None, **more: Any) -> Trace:
    """Return the trace of CustomPPO or CustomA2C."""
    model = DeviantA2C if algorithm == "a2c" else DeviantPPO
    known = accepted_settings(model.__mro__[2], case.settings)  # of A2C, which has no clip range
    case = dataclasses.replace(case, settings=known)
    return trace_run(model, case, 0, TracingMode.names_only(aligned_with), **more)


def divergence(deviation: Deviation, algorithm: str) -> tuple[str | None, str | None]:
    """Return the quantities of the first divergence from CustomPPO, of any size and beyond rounding."""
    case = case_of(deviation)
    name = next(name for name, known in CASES.items() if known is case)
    plain = baseline(name, algorithm)
    found = trace(case, algorithm, plain, deviations=deviation)
    first, beyond = None, None
    for place in sorted({*plain.arrays, *found.arrays}):
        if place.rank in plain.recorded_ranks & found.recorded_ranks:
            difference = array_difference(place, plain.arrays.get(place), found.arrays.get(place))
            if difference is not None:
                first = first or place.quantity
                if difference.beyond_rounding:
                    beyond = place.quantity
                    break
    return first, beyond
