"""Construction of a case's environments and of the model that trains in them."""

from __future__ import annotations

import dataclasses
import inspect
import os
import sysconfig
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from harness.crosscheck.environments import make_environment
from harness.crosscheck.profiles import Case
from harness.errors import HarnessError
from harness.training.envs import make_training_env

__all__ = ["accepted_settings", "error_in_a_line", "make_environments", "make_model"]

_FOREIGN_CODE = (*sysconfig.get_paths().values(), str(Path(__file__).parents[2]), "<")
"""Path prefixes of code that the author of a subject did not write: Python, installed packages, this harness, and
generated code."""


def accepted_settings(algorithm: type[Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the algorithm's constructor accepts."""
    parameters = inspect.signature(algorithm).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return dict(settings)
    return {name: value for name, value in settings.items() if name in parameters}


def make_environments(case: Case, seed: int) -> VecEnv:
    """Make the vectorised environment of a case, wrapped and normalised as the case's file specifies."""
    if case.spec is None:
        return make_vec_env(lambda: make_environment(case.env), n_envs=case.n_envs, seed=seed)
    with tempfile.TemporaryDirectory() as folder:  # for the logs of episodes, which are not read
        return make_training_env(dataclasses.replace(case.spec, seed=seed), Path(folder))


def make_model(
    algorithm: type[Any], case: Case, seed: int, env: VecEnv, name: str, arguments: Mapping[str, Any]
) -> Any:
    """Make the model of a case, with further arguments of its constructor; raise HarnessError if that fails.

    name: name of the algorithm in the message; "" for the name of its class.
    """
    # The device is fixed, as GPUs sum in another order.
    settings = accepted_settings(algorithm, {**case.settings, "seed": seed, "device": "cpu", **arguments})
    policy = _fitting_policy(algorithm, case.policy, env)
    try:
        return algorithm(policy, env, **settings)
    except HarnessError:
        raise
    except (Exception, SystemExit) as error:
        called = name or algorithm.__name__
        fits = _has_sb3_signature(algorithm, settings)
        hint = "--env chooses other environments" if fits else "its constructor must accept policy, env and settings"
        raise HarnessError(f"{called} cannot be made for {case.env}: {error_in_a_line(error)} ({hint})") from error


def _has_sb3_signature(algorithm: type[Any], settings: Mapping[str, Any]) -> bool:
    """Return True if the constructor has the signature of SB3's algorithms."""
    try:
        inspect.signature(algorithm).bind("policy", "env", **settings)
    except TypeError:
        return False
    return True


def _fitting_policy(algorithm: type[Any], policy: Any, env: VecEnv) -> Any:
    """Return the policy of a case; "MlpPolicy" becomes the variant that fits the observations and the algorithm."""
    if policy != "MlpPolicy":
        return policy
    kind = "MultiInput" if isinstance(env.observation_space, spaces.Dict) else "Mlp"
    recurrent = f"{kind}LstmPolicy"
    return recurrent if recurrent in getattr(algorithm, "policy_aliases", ()) else f"{kind}Policy"


def error_in_a_line(error: BaseException) -> str:
    """Return an error with the innermost line of the subject's own code: "ValueError: no, at my_ppo.py:12"."""
    # The innermost frame is mostly in torch; the line of the author's own code that called it is more useful.
    message = str(error).strip().splitlines()
    lines = [
        f", at {os.path.basename(frame.filename)}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_FOREIGN_CODE)
    ]
    return type(error).__name__ + (f": {message[0]}" if message else "") + (lines[-1] if lines else "")
