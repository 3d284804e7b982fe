"""Readers of the three files that SB3 writes into a run's folder.

Each reader takes `partial`, True if the process that wrote the file may have been killed. Then a truncated last line
is dropped, and a file that still cannot be read counts as empty. Otherwise any damage is a RecordError: a finished run
with half of its episodes would silently bias every figure.
A missing file has no rows.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.errors import RecordError

__all__ = [
    "EVALUATIONS_NAME",
    "MONITOR_SUFFIX",
    "NO_EPISODES",
    "NO_EVALUATIONS",
    "NO_PROGRESS",
    "PROGRESS_NAME",
    "monitor_env_id",
    "monitor_paths",
    "read_evaluations",
    "read_monitors",
    "read_progress",
]

MONITOR_SUFFIX = "monitor.csv"
EVALUATIONS_NAME = "evaluations.npz"
PROGRESS_NAME = "progress.csv"

FloatArray = npt.NDArray[np.float64]

# Tables without rows, for a folder that lacks the file.
NO_EPISODES = pd.DataFrame({"timestep": [], "reward": [], "length": [], "seconds": []}, dtype=np.float64).astype(
    {"timestep": np.int64, "length": np.int64}
)
NO_EVALUATIONS = pd.DataFrame(
    {"timestep": [], "reward": [], "std": [], "length": [], "n_episodes": []}, dtype=np.float64
).astype({"timestep": np.int64, "n_episodes": np.int64})
NO_PROGRESS = pd.DataFrame({"timestep": [], "key": [], "value": []}).astype(
    {"timestep": np.int64, "key": str, "value": np.float64}
)

_TIMESTEP_KEY = "time/total_timesteps"
_NPZ_ERRORS = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


def monitor_paths(folder: Path) -> list[Path]:
    """Return a run's Monitor files in the order of its sub-environments: 2.monitor.csv comes before 10.monitor.csv."""
    return sorted(folder.glob(f"*{MONITOR_SUFFIX}"), key=lambda path: (_env_index(path) or 0, path.name))


def monitor_env_id(folder: Path) -> str | None:
    """Return the Gymnasium id in the header of a run's first readable Monitor file, None if no header names one."""
    for path in monitor_paths(folder):
        if not path.is_file():
            continue
        with path.open("rb") as file:
            try:
                env_id = json.loads(file.readline().removeprefix(b"#"))["env_id"]
            except (ValueError, KeyError, TypeError, RecursionError):  # RecursionError: nested too deeply
                continue
        if env_id and env_id != "None":
            return str(env_id)
    return None


def read_monitors(folder: Path, *, partial: bool) -> pd.DataFrame:
    """Return every training episode of a run, in the order in which they ended.

        timestep = n_envs * cumsum(length within the file of one sub-environment)

    The timestep is exact: all sub-environments step together and start the next episode without a step in between.
    (Monitor counts the steps of the environment that it wraps. Below a frame-skipping wrapper, as in SB3's Atari
    set-up, it counts frames, and so does this timestep.)
    Episodes that end at the same step keep the order of their sub-environments.

    Columns: timestep, reward (return of the episode), length (steps), seconds (since the first environment was made).
    Raises RecordError for a damaged file, or a missing one between others, unless `partial`.
    """
    paths = monitor_paths(folder)
    if not paths:
        return NO_EPISODES
    n_envs = _count_envs(paths, partial=partial)
    starts, tables = zip(*(_read_monitor(path, partial=partial) for path in paths), strict=True)
    timestep = np.concatenate([n_envs * table[:, 1].cumsum() for table in tables])
    first = min(starts)  # as Python floats: the start of an unreadable file is inf, and NumPy warns of inf - inf
    since = np.repeat([start - first for start in starts], [len(table) for table in tables])
    order = np.argsort(timestep, kind="stable")
    reward, length, seconds = np.concatenate(tables)[order].T
    return pd.DataFrame(
        {
            "timestep": timestep[order].astype(np.int64),
            "reward": reward,
            "length": length.astype(np.int64),
            "seconds": seconds + since[order],
        }
    )


def read_evaluations(folder: Path, *, partial: bool) -> pd.DataFrame:
    """Return every evaluation during training, from the arrays of SB3's EvalCallback.

    Columns: timestep, reward (mean return over the episodes), std (over the episodes, ddof 0, as SB3 prints it),
    length (mean), n_episodes.  Raises RecordError for a damaged file, unless `partial`.
    """
    path = folder / EVALUATIONS_NAME
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is no file")
        with np.load(path, allow_pickle=False) as arrays:
            timesteps, rewards, lengths = arrays["timesteps"], arrays["results"], arrays["ep_lengths"]
        if not rewards.ndim == lengths.ndim == 2 or not len(timesteps) == len(rewards) == len(lengths):
            raise ValueError(f"timesteps {timesteps.shape}, results {rewards.shape}, ep_lengths {lengths.shape}")
    except FileNotFoundError:
        return NO_EVALUATIONS
    except _NPZ_ERRORS as error:
        if partial:
            return NO_EVALUATIONS
        raise RecordError(
            f"{path}: cannot be read ({_one_line(error)}), expected timesteps [E], results and ep_lengths "
            "[E, episodes] of SB3's EvalCallback; move the run's folder away and run it again"
        ) from error
    return pd.DataFrame(
        {
            "timestep": timesteps.astype(np.int64),
            "reward": rewards.mean(axis=1),
            "std": rewards.std(axis=1),
            "length": lengths.mean(axis=1),
            "n_episodes": np.full(len(timesteps), rewards.shape[1], np.int64),
        }
    )


def read_progress(folder: Path, *, partial: bool) -> pd.DataFrame:
    """Return every value that SB3's CSV logger wrote, one per row; a blank cell is absent, not zero.

    The timestep is that of the dump. SB3's on-policy algorithms dump before they update, so a `train/` value
    describes the update before the rollout that ends there. Rows without a timestep and text are left out.

    Columns: timestep, key, value.  Raises RecordError for a damaged file, unless `partial`.
    """
    path = folder / PROGRESS_NAME
    if not path.exists() or not (lines := _read_whole_lines(path, partial=partial)):
        return NO_PROGRESS
    try:
        table = pd.read_csv(io.BytesIO(lines), engine="c")
        if _TIMESTEP_KEY not in table:
            raise ValueError(f"no column {_TIMESTEP_KEY}")
    except ValueError as error:
        if partial:
            return NO_PROGRESS
        raise _damaged_csv(path, error) from error
    for column in table.select_dtypes(exclude="number"):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    keys = table.columns.to_numpy(dtype=object)
    values = table.to_numpy(np.float64)
    timesteps = values[:, keys == _TIMESTEP_KEY]
    rows, columns = np.nonzero(~np.isnan(values) & ~np.isnan(timesteps) & (keys != _TIMESTEP_KEY))
    return pd.DataFrame(
        {"timestep": timesteps[rows, 0].astype(np.int64), "key": keys[columns], "value": values[rows, columns]}
    )


def _env_index(path: Path) -> int | None:
    """Return 3 for "3.monitor.csv", None for a name without a number."""
    match = re.fullmatch(rf"(\d+)\.{re.escape(MONITOR_SUFFIX)}", path.name)
    return int(match[1]) if match else None


def _count_envs(paths: list[Path], *, partial: bool) -> int:
    """Return the number of sub-environments; raise RecordError if a file is lost, which would shift every timestep."""
    indices = [index for path in paths if (index := _env_index(path)) is not None]
    if not indices:
        return len(paths)
    expected = range(min(indices), max(indices) + 1)
    lost = sorted(set(expected) - set(indices))
    if lost and not partial:
        raise RecordError(
            f"{paths[0].parent}: {lost[0]}.{MONITOR_SUFFIX} is missing between {indices[0]}.{MONITOR_SUFFIX} and "
            f"{indices[-1]}.{MONITOR_SUFFIX}; restore it, or move the run's folder away and run it again"
        )
    return len(expected)


def _read_monitor(path: Path, *, partial: bool) -> tuple[float, FloatArray]:
    """Return the wall-clock time at which a file's environment was made, and its rows [episodes, (r, l, t)]."""
    lines = _read_whole_lines(path, partial=partial)
    try:
        if lines.count(b"\n") < 2:
            raise ValueError("no header")
        header, columns, *rows = lines.decode().splitlines()
        start = float(json.loads(header.removeprefix("#"))["t_start"])
        names = columns.split(",")
        used = [names.index(name) for name in "rlt"]
        # NumPy's reader starts ten times faster than pandas': there may be thousands of small files.
        table = np.loadtxt(rows, delimiter=",", usecols=used, quotechar='"', ndmin=2) if rows else np.zeros((0, 3))
        if not (table[:, 1] >= 1).all():
            raise ValueError("an episode without a length")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if partial:
            return np.inf, np.zeros((0, 3))
        raise _damaged_csv(path, error) from error
    return start, table


def _read_whole_lines(path: Path, *, partial: bool) -> bytes:
    """Return the bytes of a file; a last line without its end is dropped if `partial`, else raise RecordError."""
    try:
        # Asked first: reading a pipe in place of a file would never end.
        content = path.read_bytes() if path.is_file() else None
    except OSError as error:
        content, reason = None, str(error.strerror)
    else:
        reason = "it is no file"
    if content is None:
        if partial:
            return b""
        raise RecordError(f"{path}: cannot be read ({reason}); move the run's folder away and run it again")
    if not content or content.endswith(b"\n"):
        return content
    if partial:
        return content[: content.rfind(b"\n") + 1]
    number = content.count(b"\n") + 1
    raise RecordError(f"{path}:{number}: ends within a line; move the run's folder away and run it again")


def _damaged_csv(path: Path, error: Exception) -> RecordError:
    return RecordError(
        f"{path}: cannot be read ({_one_line(error)}), expected the CSV that SB3 writes; "
        "move the run's folder away and run it again"
    )


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
