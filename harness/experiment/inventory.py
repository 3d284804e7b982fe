"""Find experiments and stored runs below a folder, and compare them with their plan, without changing a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.config import ExperimentConfig, load_config
from harness.errors import ConfigError, RecordError
from harness.experiment.plan import RunSpec, plan
from harness.experiment.run_records import RECORD_NAME, RunRecord, read_record

__all__ = ["Experiment", "State", "StoredRun", "find_experiments", "problems_of", "runs_at", "take_inventory"]

EXPERIMENT_NAME = "experiment.yml"
RUNS_NAME = "runs"

State = Literal["finished", "failed", "missing", "stale", "damaged", "foreign"]
"""finished, failed: as recorded. missing: planned, or begun without a record. stale: finished with other settings than
in experiment.yml, or not in its plan. damaged: the record cannot be read. foreign: another program wrote the folder."""

_SIGNS_OF_A_RUN = re.compile(r".*monitor\.csv|evaluations\.npz|progress\.csv|.*\.zip")
_RUN_FOLDER = re.compile(r"(?P<env>.+)_(?P<number>\d+)")


@dataclass(frozen=True)
class StoredRun:
    """One run, on disk or planned."""

    path: Path
    """Folder of the run; it need not exist."""

    algo: str
    env: str
    seed: int
    state: State
    record: RunRecord | None = None
    problem: str = ""
    """Reason why there is no result, on one line; empty for a finished run."""

    planned: bool = False
    """True if experiment.yml plans this run."""

    @property
    def label(self) -> str:
        """Name of the run in messages: "ppo CartPole-v1 seed 0"."""
        return f"{self.algo} {self.env} seed {self.seed}"


@dataclass(frozen=True)
class Experiment:
    """Folder of an experiment with its runs."""

    path: Path
    runs: tuple[StoredRun, ...]
    """Planned runs in the order of the plan, then those that are on disk alone."""

    config: ExperimentConfig | None = None
    """Contents of experiment.yml, or None if there is none or it cannot be read."""

    problem: str = ""
    """Reason why experiment.yml cannot be read, on one line."""

    def count(self, *states: State) -> int:
        """Return the number of runs in one of these states."""
        return sum(run.state in states for run in self.runs)

    @property
    def lock(self) -> Path:
        """File that a harness locks while it writes into this folder."""
        return self.path / ".lock"


def find_experiments(root: Path) -> list[Path]:
    """Return the folders of experiments below a folder, itself included, in the order of their paths.

    A folder is an experiment if it holds experiment.yml, or a folder `runs` with records in it.
    Raises RecordError if root is not a folder.
    """
    if not root.is_dir():
        raise RecordError(f"{root}: is not a folder, expected results of `harness compare`")
    found = []
    for parent, subfolders, names in os.walk(root):
        subfolders.sort()
        folder = Path(parent)
        if EXPERIMENT_NAME in names or (RUNS_NAME in subfolders and any(_record_folders(folder / RUNS_NAME))):
            found.append(folder)
            subfolders[:] = [name for name in subfolders if name != RUNS_NAME]
    return found


def take_inventory(folder: Path) -> Experiment:
    """Return the runs of an experiment, planned or on disk, each with its state; raise RecordError."""
    config, problem = _read_plan(folder)
    specs = {} if config is None else {folder / RUNS_NAME / spec.run_dir: spec for spec in plan(config)}
    others = [path for path in _run_folders(folder / RUNS_NAME) if path not in specs]
    planned = [_stored(path, spec, is_planned=True) for path, spec in specs.items()]
    return Experiment(folder, (*planned, *_unplanned(others, is_planned=config is not None)), config, problem)


def runs_at(paths: Iterable[Path]) -> list[StoredRun]:
    """Return the runs in folders: of single runs, of experiments, of many experiments, or of another program.

    A run that is found twice is returned once. Raises RecordError if a folder does not exist or holds no run.
    """
    runs: dict[Path, StoredRun] = {}
    for path in paths:
        found = list(_runs_below(path))
        if not found:
            raise RecordError(
                f"{path}: holds no runs, expected results of `harness compare` or `harness train`, or one run's folder"
            )
        for run in found:
            runs.setdefault(run.path.resolve(), run)
    return list(runs.values())


def _runs_below(path: Path) -> Iterator[StoredRun]:
    if path.is_file():
        raise RecordError(f"{path}: is a file, expected the folder of a run, or a folder with results")
    if path.is_dir() and not (path / EXPERIMENT_NAME).exists() and _is_run(os.listdir(path)):
        yield _stored(path, None, is_planned=False)
        return
    experiments = find_experiments(path)
    for folder in experiments:
        yield from take_inventory(folder).runs
    if not experiments:
        yield from _unplanned(_run_folders(path), is_planned=False)


def _read_plan(folder: Path) -> tuple[ExperimentConfig | None, str]:
    path = folder / EXPERIMENT_NAME
    if not path.exists():
        return None, ""
    try:
        return load_config(path), ""
    except ConfigError as error:
        return None, str(error)


def _stored(path: Path, spec: RunSpec | None, *, is_planned: bool) -> StoredRun:
    """Return the state of a run. spec: the planned one; is_planned: False if there is no plan to compare with."""
    planned = spec is not None
    try:
        record = read_record(path)
    except RecordError as error:
        return StoredRun(path, *_identity(path, spec), "damaged", problem=str(error), planned=planned)
    if record is None:
        if spec is None and not is_planned:
            return StoredRun(path, *_identity(path, spec), "foreign", problem=f"has no {RECORD_NAME}")
        begun = path.is_dir() and any(path.iterdir())
        reason = "was interrupted before its record was written" if begun else "has not been run"
        return StoredRun(path, *_identity(path, spec), "missing", problem=reason, planned=planned)
    identity = record.spec.algo, record.spec.env, record.spec.seed
    if record.status == "failed":
        cause = dict(record.error or {})
        problem = " ".join(f"{cause.get('type', '?')}: {cause.get('message', '?')}".split())
        return StoredRun(path, *identity, "failed", record, problem, planned)
    if is_planned and (spec is None or spec.digest != record.spec.digest):
        problem = f"is not in {EXPERIMENT_NAME}" if spec is None else f"has other settings than in {EXPERIMENT_NAME}"
        return StoredRun(path, *identity, "stale", record, problem, planned)
    return StoredRun(path, *identity, "finished", record, planned=planned)


def _unplanned(paths: Iterable[Path], *, is_planned: bool) -> list[StoredRun]:
    """Return the runs in folders that no plan names, sorted by algorithm, environment and seed."""
    runs = [_stored(path, None, is_planned=is_planned) for path in paths]
    return sorted(runs, key=lambda run: (run.algo, run.env, run.seed))


def _identity(path: Path, spec: RunSpec | None) -> tuple[str, str, int]:
    """Return algorithm, environment and seed of a run without readable record: from the plan, or from its folder."""
    if spec is not None:
        return spec.algo, spec.env, spec.seed
    folder = path.resolve()
    match = _RUN_FOLDER.fullmatch(folder.name)
    return (folder.parent.name, match["env"], int(match["number"]) - 1) if match else (folder.parent.name, "?", -1)


def _run_folders(root: Path) -> Iterator[Path]:
    """Yield every folder of a run below root; folders within a run belong to it."""
    for parent, subfolders, names in os.walk(root):
        if _is_run(names):
            subfolders.clear()
            yield Path(parent)
        else:
            subfolders.sort()


def _record_folders(root: Path) -> Iterator[Path]:
    return (path.parent for path in root.rglob(RECORD_NAME))


def _is_run(names: Iterable[str]) -> bool:
    return any(name == RECORD_NAME or _SIGNS_OF_A_RUN.fullmatch(name) for name in names)


def problems_of(runs: Iterable[StoredRun]) -> Mapping[str, list[StoredRun]]:
    """Return the runs without a result by their problem, in the order of their first appearance."""
    found: dict[str, list[StoredRun]] = {}
    for run in runs:
        if run.problem:
            found.setdefault(run.problem, []).append(run)
    return found
