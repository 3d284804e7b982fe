"""Train a subject in a world of the stress profile, for what it has learnt in the end."""

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.env_util import make_vec_env
from torch import nn

from harness.crosscheck.environments import make_world
from harness.crosscheck.profiles import STRESS, Case

__all__ = ["CASES", "trained", "weights"]

CASES: Mapping[str, Case] = {case.env: case for case in STRESS.cases}
"""World -> settings of the stress profile."""


def trained(algorithm: type[Any], world: str, *, n_updates: int | None = None, seed: int = 0, **settings: Any) -> Any:
    """A model after the updates of the world's case; settings: changes to its hyperparameters."""
    case = CASES[world]
    known = inspect.signature(algorithm).parameters
    settings = {**{name: value for name, value in case.settings.items() if name in known}, **settings}
    n_steps = settings["n_steps"]
    with preserved_generators(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the last minibatch is smaller is on purpose
        torch.manual_seed(99)  # what a process drew before must not matter, and where it does it is always the same
        env = make_vec_env(partial(make_world, world), n_envs=case.n_envs, seed=seed)
        try:
            model = algorithm(case.policy, env, seed=seed, device="cpu", **settings)
            model.learn((case.n_updates if n_updates is None else n_updates) * case.n_envs * n_steps)
        finally:
            env.close()
    return model


def weights(model: Any) -> list[bytes]:
    """Every weight to the bit, in no particular order, as the names and the order of layers are an author's own."""
    holder = getattr(model, "policy", None)
    modules = (
        [holder] if holder is not None else [value for value in vars(model).values() if isinstance(value, nn.Module)]
    )
    return sorted(tensor.detach().numpy().tobytes() for module in modules for tensor in module.parameters())


@contextmanager
def preserved_generators() -> Iterator[None]:
    """SB3 draws from the global generators; they are left as they were."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
