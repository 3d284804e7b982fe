"""Check a zoo-style hyperparameter entry: the keys that an algorithm accepts, and the values of each key.

The tables repeat the constructors of Stable-Baselines3 2.9 and the extra keys of rl_zoo3 2.9, because the constructors
cannot be inspected without importing torch. A test compares the tables with the constructors.

A new hyperparameter is one line in the table of its algorithm, such as `_PPO` (SB3's) or `_OWN` (CustomPPO's alone);
one that may be a schedule is a line in `_SCHEDULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.config.documents import Located, PlacedError
from harness.config.hyperparams import (
    Linear,
    parse_callbacks,
    parse_class,
    parse_kwargs,
    parse_normalize,
    parse_schedule,
    parse_wrappers,
)
from harness.config.literals import Name
from harness.config.names import DEVIANTS
from harness.config.rules import BOOLEAN, TEXT, Rule, integer, number, optional
from harness.errors import ConfigError, did_you_mean

__all__ = ["SCHEDULES", "accepted_keys", "check_entry", "check_setting", "entry_rules"]

_SET_BY_HARNESS = ("env", "seed", "verbose", "tensorboard_log", "_init_setup_model")


def _schedule(expected: str, **bounds: float) -> Rule:
    """Return the rule for a schedule whose (initial) value is within the bounds; its text is kept as written."""
    within = number(**bounds)

    def read(value: object) -> object:
        schedule = parse_schedule(value)
        within.read(schedule.initial if isinstance(schedule, Linear) else schedule)
        return value

    return Rule(expected, read, {"anyOf": [within.schema, {"type": "string", "pattern": "^lin_[0-9.eE+-]+$"}]})


def _kept(expected: str, parse: Callable[[Any], object], *types: str) -> Rule:
    """Return the rule for values that `parse` accepts; they are kept as written, as runs store unprocessed values.

    types: names of the types in a JSON schema.
    """

    def read(value: object) -> object:
        parse(value)
        return value

    return Rule(expected, read, {"type": list(types)})


def _read_deviations(value: object) -> object:
    if not all(isinstance(name, str) for name in (value if isinstance(value, list) else [value])):
        raise ValueError
    return value


_SCHEDULES: Mapping[str, Rule] = {
    "learning_rate": _schedule("a number >= 0 or lin_NUMBER", at_least=0),
    "clip_range": _schedule("a number > 0 or lin_NUMBER", above=0),
    "clip_range_vf": optional(_schedule("a number > 0 or lin_NUMBER", above=0)),
}
SCHEDULES = frozenset({*_SCHEDULES, "delta_std"})
"""Keys whose value may be a schedule; delta_std is the deviation of ARS's perturbations."""

_MAPPING = ("object", "string", "null")
_KWARGS = _kept("a mapping or text such as dict(key=value)", parse_kwargs, *_MAPPING)

_SHARED: Mapping[str, Rule] = {
    "n_envs": integer(at_least=1),
    "n_timesteps": integer(at_least=1),
    "policy": TEXT,
    "learning_rate": _SCHEDULES["learning_rate"],
    "gamma": number(above=0, at_most=1),
    "normalize": _kept(
        "true, false or arguments of VecNormalize", parse_normalize, "boolean", "object", "string", "null"
    ),
    "frame_stack": optional(integer(at_least=1)),
    "env_wrapper": _kept("names of wrapper classes", parse_wrappers, "string", "object", "array", "null"),
    "vec_env_wrapper": _kept("names of wrapper classes", parse_wrappers, "string", "object", "array", "null"),
    "callback": _kept("names of callback classes", parse_callbacks, "string", "object", "array", "null"),
    "env_kwargs": _KWARGS,
    "monitor_kwargs": _KWARGS,
    "policy_kwargs": _KWARGS,
    "device": TEXT,
    "stats_window_size": integer(at_least=1),
}
"""Keys that every algorithm accepts: rl_zoo3's extra keys, and the arguments that all constructors share."""

_ON_POLICY: Mapping[str, Rule] = {
    **_SHARED,
    "n_steps": integer(at_least=1),
    "gae_lambda": number(at_least=0, at_most=1),
    "ent_coef": number(),
    "vf_coef": number(),
    "max_grad_norm": number(above=0),
    "normalize_advantage": BOOLEAN,
    "use_sde": BOOLEAN,
    "sde_sample_freq": integer(at_least=-1),
    "rollout_buffer_class": _kept("the name of a class", parse_class, "string", "null"),
    "rollout_buffer_kwargs": _KWARGS,
}
_PPO: Mapping[str, Rule] = {
    **_ON_POLICY,
    **_SCHEDULES,
    "batch_size": integer(at_least=1),
    "n_epochs": integer(at_least=1),
    "target_kl": optional(number(above=0)),
}
_A2C: Mapping[str, Rule] = {**_ON_POLICY, "use_rms_prop": BOOLEAN, "rms_prop_eps": number(above=0)}
_OWN: Mapping[str, Rule] = {"recipe": TEXT, "engine": TEXT}
"""Arguments of CustomPPO that SB3's PPO does not have."""

_DEVIATIONS: Mapping[str, Rule] = {"deviations": Rule("an id of the catalogue or a list of ids", _read_deviations)}

_CLOSED: Mapping[str, Mapping[str, Rule]] = {
    "ppo": _PPO,
    "a2c": _A2C,
    "custom_ppo": {**_PPO, **_OWN},
    "custom_a2c": _A2C,
    DEVIANTS["custom_ppo"]: {**_PPO, **_OWN, **_DEVIATIONS},
    DEVIANTS["custom_a2c"]: {**_A2C, **_DEVIATIONS},
}
"""Algorithm class -> all keys that it accepts. Keys of any other class are checked when the class is imported."""


def accepted_keys(algo_class: str) -> frozenset[str] | None:
    """Return every key that an entry of this algorithm may have; None if its class is not in the tables."""
    return frozenset(_CLOSED[algo_class]) if algo_class in _CLOSED else None


def entry_rules() -> dict[str, Mapping[str, Rule]]:
    """Return algorithm class -> rule of every key; the class "" has the keys that every algorithm accepts."""
    return {"": _SHARED, **_CLOSED}


def check_entry(entry: Mapping[str, Located], algo_class: str, problems: list[PlacedError]) -> dict[str, Any]:
    """Return the entry as plain data; mistakes become problems. 1e3 becomes 1000, other values stay as written.

    entry: key -> located value, merged from every source, so that each mistake is reported where it was written.
    """
    rules = _CLOSED.get(algo_class, _SHARED)
    checked: dict[str, Any] = {}
    for key, place in entry.items():
        try:
            checked[key] = check_setting(key, place.value, algo_class)
        except ConfigError as error:
            problems.append(place.placed(error))
    mistakes = [*_policy_mistakes(checked)] if algo_class in _CLOSED else []
    mistakes += _contradictions(checked) if "batch_size" in rules else []
    problems += [entry[key].error(message) for key, message in mistakes]
    return checked


def check_setting(key: str, value: object, algo_class: str) -> Any:
    """Return the normalised value of one key of an entry; raise ConfigError if the algorithm has no such key or value.

    Keys of classes that are not in the tables are accepted.
    """
    _check_key(key, algo_class)
    rules = _CLOSED.get(algo_class, _SHARED)
    return rules[key](value) if key in rules else value


def _check_key(key: str, algo_class: str) -> None:
    if key in _SET_BY_HARNESS:
        raise ConfigError("is set by the harness, remove it")
    known = accepted_keys(algo_class)
    if known is not None and key not in known:
        hint = did_you_mean(key, known) or f", {algo_class} accepts {', '.join(sorted(known))}"
        raise ConfigError(f"unknown key{hint}")


_POLICIES = ("MlpPolicy", "CnnPolicy", "MultiInputPolicy")
_POLICY_ARGUMENTS = """
    net_arch activation_fn ortho_init use_sde log_std_init full_std use_expln squash_output features_extractor_class
    features_extractor_kwargs share_features_extractor normalize_images optimizer_class optimizer_kwargs
""".split()  # noqa: SIM905 - a table of quoted names reads worse
_CLASS_ARGUMENTS = ("activation_fn", "features_extractor_class", "optimizer_class")


def _policy_mistakes(checked: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for names of policies and arguments that SB3's actor-critic policies do not have."""
    policy = checked.get("policy", "MlpPolicy")
    if "." in policy:
        return  # a class outside SB3, whose arguments are unknown here
    if policy not in _POLICIES:
        hint = did_you_mean(policy, _POLICIES) or f", expected one of {', '.join(_POLICIES)}"
        yield "policy", f"there is no policy {policy}{hint}"
    for key, argument in parse_kwargs(checked.get("policy_kwargs")).items():
        if key not in _POLICY_ARGUMENTS:
            yield "policy_kwargs", f"{policy} has no argument {key}{did_you_mean(key, _POLICY_ARGUMENTS)}"
        elif key in _CLASS_ARGUMENTS and not isinstance(argument, Name):
            yield "policy_kwargs", f"{key} must name a class such as nn.ReLU, without quotes"


_PPO_DEFAULTS: Mapping[str, Any] = {"n_steps": 2048, "batch_size": 64, "n_envs": 1, "normalize_advantage": True}


def _contradictions(checked: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for values of a PPO entry that are valid alone but not together."""
    values = {**_PPO_DEFAULTS, **checked}
    if not values["normalize_advantage"]:
        return
    # A single advantage has no standard deviation: PPO would train on NaN.
    if values["batch_size"] < 2:
        yield "batch_size", "expected an integer >= 2 because normalize_advantage is on, got 1"
    if values["n_steps"] * values["n_envs"] < 2:
        yield "n_steps", "n_steps * n_envs must be >= 2 because normalize_advantage is on, got 1"
