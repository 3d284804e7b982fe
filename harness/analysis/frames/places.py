"""Find the log files below a folder, and group those that belong to one run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.analysis.frames.files import EVALUATIONS_NAME, MONITOR_SUFFIX, PROGRESS_NAME, env_index
from harness.experiment.run_records import RECORD_NAME

__all__ = ["EVENTS_PREFIX", "LogFiles", "Place", "find_places"]

EVENTS_PREFIX = "events.out.tfevents."
"""Beginning of the names of TensorBoard's event files."""

# A second Monitor beside that of the training writes these; neither name is that of an algorithm.
_TRAINING = {"train", "training"}
_NOT_TRAINING = {"eval", "evaluation", "test", "valid", "validation"}


@dataclass(frozen=True)
class LogFiles:
    """Log files of one run."""

    monitors: tuple[Path, ...] = ()
    """Monitor files in the order of the sub-environments."""

    evaluations: Path | None = None
    progress: Path | None = None
    events: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Place:
    """Folder of a run, or the Monitor file of a run that shares its folder with others."""

    path: Path
    files: LogFiles = field(default_factory=LogFiles)
    has_record: bool = False

    def names_below(self, root: Path) -> tuple[str, ...]:
        """Names on the way from `root` to the run, without the suffix of a Monitor file; empty for `root` itself."""
        names = self.path.relative_to(root).parts
        return (*names[:-1], _run_of(names[-1]) or names[-1]) if self.path.suffix == ".csv" else names


def find_places(root: Path) -> tuple[list[Place], dict[Path, str]]:
    """Return the runs below a folder, or the folder itself, in the order of their paths, and what is left out and why.

    A folder is a run if it holds `run.json`, a Monitor file, evaluations.npz, progress.csv or event files of
    TensorBoard; folders within it belong to it, and their logs (such as those of its evaluations) are left out.
    Monitor files with names, such as ppo_seed0.monitor.csv, are a run each.
    """
    places: list[Place] = []
    left_out: dict[Path, str] = {}
    empty: list[Path] = []
    for parent, subfolders, names in os.walk(root):
        folder = Path(parent)
        subfolders.sort()
        found = list(_places_in(folder, sorted(names), left_out))
        places += found
        if any(place.path == folder for place in found):
            if not found[0].has_record and (inside := _count_logs(folder, subfolders)):
                left_out[folder / "*"] = f"{inside} log files in folders within the run {folder.name}"
            subfolders.clear()
        elif not subfolders and not found:
            empty.append(folder)
    beside = {place.path.parent for place in places}
    left_out |= {
        folder: "holds no log; if a run crashed there, it is not counted" for folder in empty if folder.parent in beside
    }
    return sorted(places, key=lambda place: str(place.path)), left_out


def _places_in(folder: Path, names: Sequence[str], left_out: dict[Path, str]) -> Iterator[Place]:
    """Yield the run of a folder, or each run whose Monitor files lie in it."""
    monitors = [name for name in names if name.endswith(MONITOR_SUFFIX)]
    named: dict[str, list[str]] = {}
    for name in monitors:
        if (stem := _run_of(name)) is not None:
            named.setdefault(stem, []).append(name)
    if named.keys() & _TRAINING or (named.keys() & _NOT_TRAINING and len(named) < 2):
        for stem in named.keys() & _NOT_TRAINING:
            left_out |= {folder / name: "episodes of evaluations, not of the training" for name in named[stem]}
            monitors = [name for name in monitors if name not in named[stem]]
        named = {}
    files = LogFiles(
        monitors=tuple(sorted((folder / name for name in monitors if _run_of(name) is None or not named), key=_by_env)),
        evaluations=folder / EVALUATIONS_NAME if EVALUATIONS_NAME in names else None,
        progress=folder / PROGRESS_NAME if PROGRESS_NAME in names else None,
        events=tuple(folder / name for name in names if name.startswith(EVENTS_PREFIX)),
    )
    has_record = RECORD_NAME in names
    shared = [path for path in (files.evaluations, files.progress, *files.events) if path is not None]
    if named and (len(named) == 1 and not files.monitors and shared):
        only = tuple(folder / name for name in next(iter(named.values())))
        yield Place(folder, LogFiles(only, files.evaluations, files.progress, files.events), has_record)
        return
    for stem_files in named.values():
        paths = tuple(folder / name for name in stem_files)
        yield Place(paths[0], LogFiles(monitors=paths))
    if named:
        reason = "lies beside the Monitor files of several runs, and does not say to which it belongs"
        left_out |= dict.fromkeys((*files.monitors, *shared), reason)
    elif has_record or files != LogFiles():
        yield Place(folder, files, has_record)


def _run_of(name: str) -> str | None:
    """Return "ppo_seed0" for "ppo_seed0.monitor.csv" and "ppo_seed0.1.monitor.csv", None for "1.monitor.csv"."""
    stem = re.sub(r"\.\d+$", "", name.removesuffix(MONITOR_SUFFIX).rstrip("._-"))
    return None if not stem or stem.isdigit() else stem


def _by_env(path: Path) -> tuple[int, str]:
    return (env_index(path) or 0, path.name)


def _count_logs(folder: Path, subfolders: Sequence[str]) -> int:
    return sum(
        name.endswith(MONITOR_SUFFIX) or name in (EVALUATIONS_NAME, PROGRESS_NAME)
        for subfolder in subfolders
        for _, _, names in os.walk(folder / subfolder)
        for name in names
    )
