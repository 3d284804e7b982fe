"""Build the model of a RunSpec; zoo-style text becomes schedules, classes and keyword arguments."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.config.entries import SCHEDULES
from harness.config.hyperparams import Linear, parse_class, parse_kwargs, parse_schedule
from harness.config.literals import Name
from harness.errors import ConfigError, did_you_mean
from harness.experiment.plan import RunSpec
from harness.training.algorithms import import_target, load_algorithm

__all__ = ["LinearSchedule", "build_model", "constructor_arguments"]

KWARGS = ("policy_kwargs", "rollout_buffer_kwargs", "replay_buffer_kwargs")
CLASSES = ("rollout_buffer_class", "replay_buffer_class")
NOISE = frozenset({"noise_type", "noise_std"})
"""Keys of a zoo entry that describe the noise added to the actions of DDPG and TD3."""
NO_ARGUMENTS = frozenset(
    {"n_envs", "normalize", "env_wrapper", "vec_env_wrapper", "frame_stack", "env_kwargs", "monitor_kwargs", "callback"}
)
"""Keys of a zoo entry that configure environments and callbacks, and are not passed to the algorithm."""


@dataclass(frozen=True)
class LinearSchedule:
    """Schedule initial * progress_remaining of rl_zoo3's "lin_0.001"; a class, so that models can be pickled."""

    initial: float

    def __call__(self, progress_remaining: float) -> float:
        """Return the value for the remaining share of the training, from 1 to 0."""
        return progress_remaining * self.initial


def build_model(spec: RunSpec, env: Any, **overrides: Any) -> Any:
    """Build the algorithm of the spec on this environment, seeded and on the CPU.

    overrides: arguments that replace those of the spec. Raises ConfigError if the constructor does not accept one of
    the hyperparameters, and passes on errors of the constructor.
    """
    algorithm = load_algorithm(spec.algo_class)
    arguments = {"device": "cpu", "seed": spec.seed, **constructor_arguments(spec), **overrides}
    if spec.hyperparams.get("noise_type") is not None:
        arguments["action_noise"] = _action_noise(spec, env)
    accepted = inspect.signature(algorithm).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
        for key in arguments:
            if key not in accepted:
                hint = did_you_mean(key, accepted)
                raise ConfigError(f"{spec.algo} on {spec.env}: {algorithm.__name__} has no argument {key}{hint}")
    return algorithm(env=env, **arguments)


def constructor_arguments(spec: RunSpec) -> dict[str, Any]:
    """Return the arguments of the algorithm's constructor; `policy` is MlpPolicy unless the entry names another."""
    arguments: dict[str, Any] = {"policy": "MlpPolicy"}
    for key, value in spec.hyperparams.items():
        if key in NO_ARGUMENTS or key in NOISE:
            continue
        if key in SCHEDULES and value is not None:
            schedule = parse_schedule(value)
            # rl_zoo3 turns constants into schedules too; a float gives the same values.
            arguments[key] = LinearSchedule(schedule.initial) if isinstance(schedule, Linear) else schedule
        elif key in KWARGS:
            arguments[key] = _resolved(parse_kwargs(value))
        elif key in CLASSES:
            arguments[key] = _resolved(parse_class(value))
        elif key == "train_freq" and isinstance(value, list):
            arguments[key] = tuple(value)  # (1, "episode"), which YAML can write only as a list
        elif key == "policy" and "." in value:
            arguments[key] = import_target(":".join(value.rsplit(".", 1)))
        else:
            arguments[key] = value
    return arguments


def _action_noise(spec: RunSpec, env: Any) -> Any:
    """Return the noise that rl_zoo3 makes for the entry; raise ConfigError for a type that it does not have."""
    from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise

    kinds = {"normal": NormalActionNoise, "ornstein-uhlenbeck": OrnsteinUhlenbeckActionNoise}
    kind = str(spec.hyperparams["noise_type"]).strip()
    if kind not in kinds:
        raise ConfigError(f"{spec.algo} on {spec.env}: noise_type must be normal or ornstein-uhlenbeck, got {kind}")
    shape = env.action_space.shape
    if len(shape) != 1:
        raise ConfigError(f"{spec.algo} on {spec.env}: noise_type needs actions that are a vector of numbers")
    deviation = spec.hyperparams.get("noise_std", 0.0)
    if isinstance(deviation, bool) or not isinstance(deviation, int | float):
        raise ConfigError(f"{spec.algo} on {spec.env}: noise_std must be a number")
    return kinds[kind](mean=np.zeros(shape), sigma=deviation * np.ones(shape))


def _resolved(value: object) -> Any:
    """Return the value with every Name replaced by its class."""
    match value:
        case Name():
            return import_target(value.target)
        case dict():
            return {key: _resolved(item) for key, item in value.items()}
        case list():
            return [_resolved(item) for item in value]
        case tuple():
            return tuple(_resolved(item) for item in value)
    return value
