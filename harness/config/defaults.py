"""Default values of the hyperparameters of SB3's PPO and A2C, which a sweep marks as the usual choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.config.names import BORROWED, DEVIANTS

__all__ = ["sb3_defaults"]

_COMMON: Mapping[str, Any] = {
    "ent_coef": 0.0,
    "gamma": 0.99,
    "max_grad_norm": 0.5,
    "policy_kwargs": None,
    "sde_sample_freq": -1,
    "use_sde": False,
    "vf_coef": 0.5,
}

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "ppo": {
        **_COMMON,
        "batch_size": 64,
        "clip_range": 0.2,
        "clip_range_vf": None,
        "gae_lambda": 0.95,
        "learning_rate": 3e-4,
        "n_epochs": 10,
        "n_steps": 2048,
        "normalize_advantage": True,
        "target_kl": None,
    },
    "a2c": {
        **_COMMON,
        "gae_lambda": 1.0,
        "learning_rate": 7e-4,
        "n_steps": 5,
        "normalize_advantage": False,
        "rms_prop_eps": 1e-5,
        "use_rms_prop": True,
    },
}
"""Algorithm of SB3 -> its defaults: written out, as reports must load without SB3; a test compares them with it."""


def sb3_defaults(algo_class: str) -> Mapping[str, Any]:
    """Return the defaults of SB3's algorithm that a class trains, with `recipe` and `deviations` of CustomPPO.

    Empty for other algorithms. algo_class: a registered name or "package.module:Class".
    """
    name = next((name for name, deviant in DEVIANTS.items() if deviant == algo_class), algo_class)
    borrowed = BORROWED.get(name, name)
    if borrowed not in _DEFAULTS:
        return {}
    return {**_DEFAULTS[borrowed], "recipe": borrowed, "deviations": "none"}
