"""Packages whose code an experiment would run: importing a module runs it, so that the user must have allowed it.

Only the command line allows packages. A file that could allow its own imports would run any code that it names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from harness.config.documents import Located, PlacedError
from harness.config.hyperparams import parse_callbacks, parse_wrappers
from harness.config.reading import Reading

__all__ = ["TRUSTED_PACKAGES", "untrusted_imports"]

TRUSTED_PACKAGES = (
    "ale_py",
    "custom_ppo",
    "gymnasium",
    "gymnasium_robotics",
    "harness",
    "minigrid",
    "panda_gym",
    "pybullet_envs_gymnasium",
    "rl_zoo3",
    "sb3_contrib",
    "stable_baselines3",
)
"""Packages that any experiment may import: those of this project, and of the environments in rl_zoo3's files."""


def untrusted_imports(reading: Reading, trusted: Collection[str]) -> list[PlacedError]:
    """Return a problem for each algorithm, environment, wrapper, callback and policy of an untrusted package.

    trusted: packages in addition to TRUSTED_PACKAGES.
    """
    allowed = {*TRUSTED_PACKAGES, *trusted}
    return [
        place.error(f"{name} would import {package}, which runs its code; to allow it, add --trust {package}")
        for place, name in _named_classes(reading)
        if (package := name.partition(":")[0].partition(".")[0]) not in allowed
    ]


def _named_classes(reading: Reading) -> Iterator[tuple[Located, str]]:
    """Yield the place and the name of everything that would be imported."""
    for algorithm in reading.algorithms:
        if ":" in algorithm.algo_class:
            yield algorithm.place, algorithm.algo_class
    for environment in reading.environments:
        if ":" in environment.env:
            yield environment.place, environment.env
    for entry in (reading.entries or {}).values():
        for key in ("env_wrapper", "vec_env_wrapper"):
            yield from ((entry.places[key], name) for name, _ in parse_wrappers(entry.values.get(key)))
        yield from ((entry.places["callback"], name) for name, _ in parse_callbacks(entry.values.get("callback")))
        policy = entry.values.get("policy")
        if isinstance(policy, str) and "." in policy:
            yield entry.places["policy"], policy
