"""Classes that step environments side by side and normalise their results: SB3's, and those of custom_ppo.

Both step the same environments and return the same bits. The classes of custom_ppo make fewer copies.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from harness.training.algorithms import import_target
from harness.training.envs.statistics import statistics_path, write_statistics

__all__ = ["SB3_CLASSES", "VecEnvClasses", "lean_classes", "save_normalization"]


class VecEnvClasses(NamedTuple):
    """Classes from which the vector environment of a run is made."""

    stepping: type[DummyVecEnv]
    normalising: type[VecNormalize]


SB3_CLASSES = VecEnvClasses(DummyVecEnv, VecNormalize)
"""Classes of SB3 itself, against which speed is measured and runs are cross-checked."""


def lean_classes() -> VecEnvClasses:
    """Return the classes of custom_ppo, which take up to half of the time of SB3's for the same results."""
    module = "custom_ppo.sb3.stepping"  # by name, as the harness refers to algorithms
    return VecEnvClasses(import_target(f"{module}:LeanVecEnv"), import_target(f"{module}:LeanVecNormalize"))


def save_normalization(env: VecNormalize, path: Path) -> None:
    """Write the statistics of a VecNormalize into the file that SB3 would write, and make its folder.

    The file names SB3's own class, so that rl_zoo3 can load it where custom_ppo is not installed. The harness itself
    reads the numbers beside it, see `write_statistics`, because a pickle can run code.
    """
    plain = VecNormalize.__new__(VecNormalize)
    vars(plain).update(vars(env))
    path.parent.mkdir(parents=True, exist_ok=True)
    plain.save(str(path))
    write_statistics(env, statistics_path(path))
