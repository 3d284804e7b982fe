"""Configurations that are measured: entries of rl_zoo3, SB3's defaults, and spaces that the zoo does not cover.

Hyperparameters of the zoo are read as data from the installed rl_zoo3, so that they are those of its users.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.config.documents import PlacedError, parse_document
from harness.config.entries import check_entry
from harness.config.files import read_text
from harness.config.sources import find_entry, zoo_folder
from harness.errors import UnknownNameError, did_you_mean
from harness.experiment.plan import RunSpec

__all__ = ["CONFIGURATIONS", "NOTES", "OURS", "Configuration", "chosen_configurations", "run_spec", "scaled"]

SEED = 0
OURS: Mapping[str, str] = {"ppo": "custom_ppo", "a2c": "custom_a2c"}
"""SB3's algorithm -> registered name of ours that trains to the same bits."""


@dataclass(frozen=True)
class Configuration:
    """Training that both implementations run, with a budget of a few seconds for SB3."""

    name: str
    """Name for `--only` and tables, such as "cartpole-zoo"."""

    env: str
    """Gymnasium id, or "module:id"."""

    n_timesteps: int
    """Environment steps of one `learn()`, summed over the parallel environments."""

    note: str
    """Hyperparameters in a few words, for the documentation."""

    zoo: str | None = None
    """Entry of the zoo's file; None for SB3's defaults."""

    changes: Mapping[str, Any] = field(default_factory=dict)
    """Zoo-style hyperparameters that replace those of the entry or of SB3."""

    algo: str = "ppo"
    """SB3's algorithm, "ppo" or "a2c"."""


_WORLDS = "harness.bench.worlds"

CONFIGURATIONS: Sequence[Configuration] = (
    Configuration("cartpole-sb3", "CartPole-v1", 4096, "SB3's defaults: 1 environment, batch 64"),
    Configuration("cartpole-zoo", "CartPole-v1", 4096, "8 environments, one minibatch of 256", zoo="CartPole-v1"),
    Configuration("acrobot-zoo", "Acrobot-v1", 8192, "16 environments, VecNormalize", zoo="Acrobot-v1"),
    Configuration("lunarlander-zoo", "LunarLander-v3", 16384, "16 environments, Box2D", zoo="LunarLander-v3"),
    Configuration("pendulum-gsde", "Pendulum-v1", 4096, "zoo: 4 environments, gSDE", zoo="Pendulum-v1"),
    Configuration(
        "pendulum-plain",
        "Pendulum-v1",
        4096,
        "zoo without gSDE: 4 environments",
        zoo="Pendulum-v1",
        changes={"use_sde": False, "sde_sample_freq": -1},
    ),
    Configuration(
        "mountaincar-zoo",
        "MountainCarContinuous-v0",
        1024,
        "zoo: rollouts of 8 steps, gSDE, VecNormalize",
        zoo="MountainCarContinuous-v0",
    ),
    Configuration(
        "bipedal-zoo",
        "BipedalWalker-v3",
        4096,
        "32 environments, VecNormalize, Box2D; n_steps 128 instead of 2048",
        zoo="BipedalWalker-v3",
        changes={"n_steps": 128},
    ),
    Configuration(
        "halfcheetah-zoo", "HalfCheetah-v4", 1024, "256-256 ReLU, VecNormalize, MuJoCo", zoo="HalfCheetah-v4"
    ),
    Configuration(
        "net-400-300",
        "Pendulum-v1",
        2048,
        "SB3's defaults with a 400-300 ReLU net",
        changes={"policy_kwargs": "dict(net_arch=[400, 300], activation_fn=nn.ReLU)"},
    ),
    Configuration(
        "multidiscrete",
        f"{_WORLDS}:BenchMultiDiscrete-v0",
        4096,
        "SB3's defaults, 4 environments, MultiDiscrete([3, 3, 2])",
        changes={"n_envs": 4, "n_steps": 512},
    ),
    Configuration(
        "multibinary",
        f"{_WORLDS}:BenchMultiBinary-v0",
        4096,
        "SB3's defaults, 4 environments, MultiBinary(4)",
        changes={"n_envs": 4, "n_steps": 512},
    ),
    Configuration(
        "minigrid-zoo",
        "MiniGrid-DoorKey-5x5-v0",
        2048,
        "8 environments, flat observations, VecNormalize",
        zoo="MiniGrid-DoorKey-5x5-v0",
    ),
    Configuration(
        "dict",
        f"{_WORLDS}:BenchDict-v0",
        4096,
        "MultiInputPolicy, SB3's defaults, 4 environments",
        changes={"policy": "MultiInputPolicy", "n_envs": 4, "n_steps": 512},
    ),
    Configuration(
        "pong-zoo",
        "PongNoFrameskip-v4",
        1024,
        "CnnPolicy, 8 environments, 4 stacked frames",
        zoo="atari",
    ),
    Configuration("cartpole-a2c", "CartPole-v1", 8192, "A2C, zoo: 8 environments", zoo="CartPole-v1", algo="a2c"),
)
"""All configurations, in the order of the table."""

NOTES: Mapping[str, str] = {configuration.name: configuration.note for configuration in CONFIGURATIONS}
"""Name of a configuration -> its training in a few words."""


def chosen_configurations(names: Sequence[str], others: Collection[str] = ()) -> list[Configuration]:
    """Return the named configurations in the table's order, or all if none is named; raise UnknownNameError.

    others: names that are known, too, and belong to no configuration.
    """
    known = [*(configuration.name for configuration in CONFIGURATIONS), *others]
    for name in names:
        if name not in known:
            raise UnknownNameError(
                f"configuration {name!r} is not known{did_you_mean(name, known)} (known: {', '.join(known)})"
            )
    return [configuration for configuration in CONFIGURATIONS if not names or configuration.name in names]


def scaled(configuration: Configuration, scale: float) -> Configuration:
    """Return the configuration with this multiple of its environment steps."""
    return replace(configuration, n_timesteps=max(1, round(scale * configuration.n_timesteps)))


def run_spec(configuration: Configuration, algo_class: str) -> RunSpec:
    """Return the run of one implementation: its hyperparameters are those of SB3's algorithm.

    Raises ConfigError if rl_zoo3 is not installed, or if it has no such entry.
    """
    hyperparams = {**_zoo_entry(configuration), **configuration.changes}
    steps = configuration.n_timesteps
    return RunSpec(algo_class, algo_class, configuration.env, SEED, steps, steps, 1, 1, hyperparams=hyperparams)


def _zoo_entry(configuration: Configuration) -> dict[str, Any]:
    if configuration.zoo is None:
        return {}
    path = zoo_folder() / f"{configuration.algo}.yml"
    entry = find_entry(parse_document(read_text(path), path.name).root, configuration.zoo)
    problems: list[PlacedError] = []
    hyperparams = dict(check_entry(dict(entry.items()), configuration.algo, problems))
    if problems:
        raise problems[0]
    hyperparams.pop("n_timesteps", None)
    return hyperparams
