"""Readers of the three files that SB3 writes into a run's folder.

Each reader takes `partial`, True if the process that wrote the file may have been killed. Then a truncated last line
is dropped, a file that still cannot be read counts as empty, and each such damage is appended to the list `damage`.
Otherwise any damage is a RecordError: a finished run with half of its episodes would silently bias every figure.
A missing file has no rows.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.errors import RecordError

__all__ = [
    "CUT_LINE",
    "EVALUATIONS_NAME",
    "INFO_PREFIX",
    "MONITOR_SUFFIX",
    "NO_EPISODES",
    "NO_EVALUATIONS",
    "NO_PROGRESS",
    "PROGRESS_NAME",
    "env_id_in_headers",
    "env_index",
    "monitor_env_id",
    "monitor_paths",
    "read_evaluations",
    "read_monitor_files",
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

INFO_PREFIX = "info_"
"""Beginning of the names of columns with numbers from the infos of the environment."""

_TRUTH = {"True": 1, "False": 0, True: 1, False: 0}
_TIMESTEP_KEY = "time/total_timesteps"
CUT_LINE = "ends within a line, which is left out"
"""End of the message about a file whose last line is truncated, and which is read without it."""

_REMEDY = "; move the run's folder away and run it again"
_LONG = 50_000  # bytes from which pandas reads CSV faster than NumPy
_NPZ_ERRORS = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


def monitor_paths(folder: Path) -> list[Path]:
    """Return a run's Monitor files in the order of its sub-environments: 2.monitor.csv comes before 10.monitor.csv."""
    return sorted(folder.glob(f"*{MONITOR_SUFFIX}"), key=lambda path: (env_index(path) or 0, path.name))


def monitor_env_id(folder: Path) -> str | None:
    """Return the Gymnasium id in the header of a run's first readable Monitor file, None if no header names one."""
    return env_id_in_headers(monitor_paths(folder))


def env_id_in_headers(paths: Sequence[Path]) -> str | None:
    """Return the Gymnasium id in the header of the first readable Monitor file, None if no header names one."""
    for path in paths:
        if not path.is_file():
            continue
        try:
            with path.open("rb") as file:
                env_id = json.loads(file.readline().removeprefix(b"#"))["env_id"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):  # RecursionError: nested too deeply
            continue
        if env_id and env_id != "None":
            return str(env_id)
    return None


def read_monitors(folder: Path, *, partial: bool) -> pd.DataFrame:
    """Return every training episode of a run, in the order in which they ended; see `read_monitor_files`."""
    return read_monitor_files(monitor_paths(folder), partial=partial)


def read_monitor_files(paths: Sequence[Path], *, partial: bool, damage: list[str] | None = None) -> pd.DataFrame:
    """Return every training episode of a run, in the order in which they ended, from its Monitor files.

        timestep = n_envs * cumsum(length within the file of one sub-environment)

    The timestep is exact: all sub-environments step together and start the next episode without a step in between.
    (Monitor counts the steps of the environment that it wraps. Below a frame-skipping wrapper, as in SB3's Atari
    set-up, it counts frames, and so does this timestep.)
    Episodes that end at the same step keep the order of their sub-environments.

    Columns: timestep, reward (return of the episode), length (steps), seconds (since the first environment was made),
    and info_KEY for every key of Monitor's `info_keywords` with numbers, or True and False, in it.
    Raises RecordError for a damaged file, or a missing one between others, unless `partial`.
    """
    if not paths:
        return NO_EPISODES
    damage = [] if damage is None else damage
    n_envs = _count_envs(paths, damage, partial=partial)
    starts, tables, infos = zip(*(_read_monitor(path, damage, partial=partial) for path in paths), strict=True)
    timestep = np.concatenate([n_envs * table[:, 1].cumsum() for table in tables])
    first = min(starts)  # as Python floats: the start of an unreadable file is inf, and NumPy warns of inf - inf
    since = np.repeat([start - first for start in starts], [len(table) for table in tables])
    order = np.argsort(timestep, kind="stable")
    reward, length, seconds = np.concatenate(tables)[order].T
    episodes = pd.DataFrame(
        {
            "timestep": timestep[order].astype(np.int64),
            "reward": reward,
            "length": length.astype(np.int64),
            "seconds": seconds + since[order],
        }
    )
    if not any(len(info.columns) for info in infos):
        return episodes
    return episodes.join(pd.concat(infos, ignore_index=True).iloc[order].reset_index(drop=True))


def read_evaluations(folder: Path, *, partial: bool, damage: list[str] | None = None) -> pd.DataFrame:
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
        if rewards.ndim == 3 and rewards.shape[2] == 1:  # written by versions of SB3 before 1.1
            rewards = rewards[:, :, 0]
        if not rewards.ndim == lengths.ndim == 2 or not len(timesteps) == len(rewards) == len(lengths):
            raise ValueError(f"timesteps {timesteps.shape}, results {rewards.shape}, ep_lengths {lengths.shape}")
    except FileNotFoundError:
        return NO_EVALUATIONS
    except _NPZ_ERRORS as error:
        reason = (
            f"{path}: cannot be read ({_one_line(error)}), expected timesteps [E], results and ep_lengths "
            "[E, episodes] of SB3's EvalCallback"
        )
        if partial:
            if damage is not None:
                damage.append(reason)
            return NO_EVALUATIONS
        raise RecordError(f"{reason}{_REMEDY}") from error
    return pd.DataFrame(
        {
            "timestep": timesteps.astype(np.int64),
            "reward": rewards.mean(axis=1),
            "std": rewards.std(axis=1),
            "length": lengths.mean(axis=1),
            "n_episodes": np.full(len(timesteps), rewards.shape[1], np.int64),
        }
    )


def read_progress(folder: Path, *, partial: bool, damage: list[str] | None = None) -> pd.DataFrame:
    """Return every value that SB3's CSV logger wrote, one per row; a blank cell is absent, not zero.

    The timestep is that of the dump. SB3's on-policy algorithms dump before they update, so a `train/` value
    describes the update before the rollout that ends there. Rows without a timestep and text are left out.

    Columns: timestep, key, value.  Raises RecordError for a damaged file, unless `partial`.
    """
    path = folder / PROGRESS_NAME
    damage = [] if damage is None else damage
    if not path.exists() or not (lines := _read_whole_lines(path, damage, partial=partial)):
        return NO_PROGRESS
    try:
        table = pd.read_csv(io.BytesIO(lines), engine="c")
        if _TIMESTEP_KEY not in table:
            raise ValueError(f"no column {_TIMESTEP_KEY}")
    except ValueError as error:
        if partial:
            damage.append(_unreadable(path, error))
            return NO_PROGRESS
        raise RecordError(f"{_unreadable(path, error)}{_REMEDY}") from error
    for column in table.select_dtypes(exclude="number"):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    keys = table.columns.to_numpy(dtype=object)
    values = table.to_numpy(np.float64)
    timesteps = values[:, keys == _TIMESTEP_KEY]
    rows, columns = np.nonzero(~np.isnan(values) & ~np.isnan(timesteps) & (keys != _TIMESTEP_KEY))
    return pd.DataFrame(
        {"timestep": timesteps[rows, 0].astype(np.int64), "key": keys[columns], "value": values[rows, columns]}
    )


def env_index(path: Path) -> int | None:
    """Return 3 for "3.monitor.csv", None for a name without a number."""
    match = re.fullmatch(rf"(\d+)\.{re.escape(MONITOR_SUFFIX)}", path.name)
    return int(match[1]) if match else None


def _count_envs(paths: Sequence[Path], damage: list[str], *, partial: bool) -> int:
    """Return the number of sub-environments; a lost file, which shifts every timestep, is a RecordError or damage."""
    indices = [index for path in paths if (index := env_index(path)) is not None]
    if not indices:
        return len(paths)
    expected = range(min(indices), max(indices) + 1)
    lost = sorted(set(expected) - set(indices))
    if lost:
        reason = (
            f"{paths[0].parent}: {lost[0]}.{MONITOR_SUFFIX} is missing between {indices[0]}.{MONITOR_SUFFIX} and "
            f"{indices[-1]}.{MONITOR_SUFFIX}"
        )
        if not partial:
            raise RecordError(f"{reason}; restore it, or move the run's folder away and run it again")
        damage.append(reason)
    return len(expected)


def _read_monitor(path: Path, damage: list[str], *, partial: bool) -> tuple[float, FloatArray, pd.DataFrame]:
    """Return the wall-clock time at which a file's environment was made, its rows [episodes, (r, l, t)], and infos."""
    lines = _read_whole_lines(path, damage, partial=partial)
    try:
        header, columns, rows = lines.split(b"\n", 2)
        start = float(json.loads(header.decode().removeprefix("#"))["t_start"])
        names = [name.strip() for name in columns.decode().split(",")]
        table = _read_rows(rows, [names.index(name) for name in "rlt"])
        if not (table[:, 1] >= 1).all():
            raise ValueError("an episode without a length")
        info = _read_infos(rows, names)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = _unreadable(path, ValueError("no header") if lines.count(b"\n") < 2 else error)
        if partial:
            damage.append(reason)
            return np.inf, np.zeros((0, 3)), pd.DataFrame()
        raise RecordError(f"{reason}{_REMEDY}") from error
    return start, table, info


def _read_infos(rows: bytes, names: Sequence[str]) -> pd.DataFrame:
    """Return the numbers that Monitor took from the last info of each episode, a column info_KEY for each key."""
    keys = [name for name in names if name not in ("r", "l", "t")]
    if not keys:
        return pd.DataFrame(index=range(rows.count(b"\n")))
    table = pd.read_csv(io.BytesIO(rows), header=None, names=list(names), engine="c", index_col=False)[keys]
    numbers = table.apply(lambda column: pd.to_numeric(column.replace(_TRUTH), errors="coerce")).astype(np.float64)
    known: pd.DataFrame = numbers.dropna(axis="columns", how="all").add_prefix(INFO_PREFIX)
    return known


def _read_rows(rows: bytes, used: Sequence[int]) -> FloatArray:
    """Return the used columns of CSV without a header, [rows, columns]; raise ValueError that names the bad cell.

    Both readers round to the nearest float64. NumPy's starts seven times faster than pandas', and there may be
    thousands of small files; pandas' is three times faster on long ones, but takes a blank cell for NaN.
    """
    if len(rows) > _LONG:
        with contextlib.suppress(ValueError):
            table = pd.read_csv(io.BytesIO(rows), header=None, engine="c").iloc[:, list(used)].to_numpy(np.float64)
            if np.isfinite(table).all():
                return table
    lines = rows.decode().splitlines()
    return np.loadtxt(lines, delimiter=",", usecols=used, quotechar='"', ndmin=2) if lines else np.zeros((0, 3))


def _read_whole_lines(path: Path, damage: list[str], *, partial: bool) -> bytes:
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
            damage.append(f"{path}: cannot be read ({reason})")
            return b""
        raise RecordError(f"{path}: cannot be read ({reason}){_REMEDY}")
    if not content or content.endswith(b"\n"):
        return content
    number = content.count(b"\n") + 1
    if partial:
        damage.append(f"{path}:{number}: {CUT_LINE}")
        return content[: content.rfind(b"\n") + 1]
    raise RecordError(f"{path}:{number}: ends within a line{_REMEDY}")


def _unreadable(path: Path, error: Exception) -> str:
    return f"{path}: cannot be read ({_one_line(error)}), expected the CSV that SB3 writes"


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
