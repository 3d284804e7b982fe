"""Statistics of VecNormalize as plain numbers in an npz file, which is read without running code from it.

SB3 and rl_zoo3 pickle the whole wrapper: reading such a file can run any code that somebody has put there. The pickle
stays for their tools; the harness reads this file, which has the same name with the suffix .npz.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from harness.errors import RecordError

__all__ = ["read_statistics", "statistics_path", "write_statistics"]

_FIELDS = ("mean", "var", "count")


def statistics_path(pickle_path: Path) -> Path:
    """Return the path of the plain numbers beside a pickled VecNormalize: vecnormalize.npz for vecnormalize.pkl."""
    return pickle_path.with_suffix(".npz")


def write_statistics(env: VecNormalize, path: Path) -> None:
    """Write mean, variance and count of every running statistic of env; raise OSError."""
    arrays = {
        f"{name}:{field}": np.asarray(getattr(statistic, field), dtype=np.float64)
        for name, statistic in _statistics(env)
        for field in _FIELDS
    }
    # np.savez would add .npz to the name of a file, but not to an open one.
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # its other keyword is no name of a statistic


def read_statistics(path: Path, env: VecNormalize) -> None:
    """Give env the statistics in a file of `write_statistics`.

    Raises RecordError if the file is missing, damaged, or of an environment with other observations.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise RecordError(
            f"{path}: is missing, so that observations cannot be normalised as in training; the run may come from a "
            "version without this file: --trust-pickle reads the pickle beside it instead"
        ) from None
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise RecordError(f"{path}: is not a file of statistics, or damaged ({_one_line(error)})") from error
    for name, statistic in _statistics(env):
        missing = [field for field in _FIELDS if f"{name}:{field}" not in arrays]
        if missing:
            raise RecordError(f"{path}: has no {name}:{missing[0]}; it belongs to an environment with other spaces")
        for field in _FIELDS:
            value, expected = arrays[f"{name}:{field}"], np.shape(getattr(statistic, field))
            if value.shape != expected or value.dtype != np.float64:
                raise RecordError(
                    f"{path}: {name}:{field} is {value.dtype} of shape {value.shape}, expected float64 of {expected}"
                )
            # [()] makes a number of an array without axes, as SB3's own statistics have it.
            setattr(statistic, field, float(value) if field == "count" else value[()])


def _statistics(env: VecNormalize) -> Iterator[tuple[str, RunningMeanStd]]:
    """Yield the running statistics of env with their names: those of the returns, and of each part of observations."""
    yield "returns", env.ret_rms
    if env.norm_obs:
        parts = env.obs_rms.items() if isinstance(env.obs_rms, dict) else [("", env.obs_rms)]
        for key, statistic in parts:
            yield f"observations:{key}" if key else "observations", statistic


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
