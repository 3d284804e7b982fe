"""Training of a subject in an environment of the stress profile, for its final weights."""

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

from harness.crosscheck.environments import make_environment
from harness.crosscheck.profiles import STRESS, Case

__all__ = ["CASES", "trained", "weights"]

CASES: Mapping[str, Case] = {case.env: case for case in STRESS.cases}
"""Environment -> case of the stress profile."""


def trained(algorithm: type[Any], env: str, *, n_updates: int | None = None, seed: int = 0, **settings: Any) -> Any:
    """Return a model after the updates of the environment's case, or after n_updates.

    settings: changes of the case's hyperparameters, of which those are left out that the algorithm does not take.
    """
    case = CASES[env]
    known = inspect.signature(algorithm).parameters
    settings = {**{name: value for name, value in case.settings.items() if name in known}, **settings}
    n_steps = settings["n_steps"]
    with preserved_generators(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a truncated last minibatch, which is intended
        # Bugs in seeding make results depend on earlier draws; these must be equal in every test.
        torch.manual_seed(99)
        envs = make_vec_env(partial(make_environment, env), n_envs=case.n_envs, seed=seed)
        try:
            model = algorithm(case.policy, envs, seed=seed, device="cpu", **settings)
            model.learn((case.n_updates if n_updates is None else n_updates) * case.n_envs * n_steps)
        finally:
            envs.close()
    return model


def weights(model: Any) -> list[bytes]:
    """Return the bytes of every parameter, sorted, as implementations name and order their layers differently."""
    holder = getattr(model, "policy", None)
    modules = (
        [holder] if holder is not None else [value for value in vars(model).values() if isinstance(value, nn.Module)]
    )
    return sorted(tensor.detach().numpy().tobytes() for module in modules for tensor in module.parameters())


@contextmanager
def preserved_generators() -> Iterator[None]:
    """Restore the global random generators afterwards, which SB3 and the standalone PPO draw from."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
