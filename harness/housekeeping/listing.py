"""`harness list`: the experiments below folders, the states of their runs, steps, time, sizes, and why runs failed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.errors import RecordError
from harness.experiment.inventory import Experiment, StoredRun, find_experiments, problems_of, take_inventory
from harness.housekeeping.sizes import size_of, size_text
from harness.training.executors.display import clock

__all__ = ["list_experiments", "model_files"]

MAX_PROBLEMS = 8
"""Number of reasons that are printed for each experiment."""

MODELS = ("*.zip", "*/*vecnormalize.*")
"""Files of a run that hold its agents."""


def list_experiments(folders: Iterable[Path], console: Console) -> list[Experiment]:
    """Print a line for every experiment below the folders, then what is wrong in each; return the experiments.

    Raises RecordError if a folder does not exist or holds no experiment.
    """
    experiments = []
    for folder in folders:
        found = find_experiments(folder)
        if not found:
            raise RecordError(f"{folder}: holds no results of `harness compare` or `harness train`")
        experiments += [take_inventory(path) for path in found]
    console.print(_table(experiments))
    for experiment in experiments:
        for line in _remarks(experiment):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    return experiments


def _table(experiments: Sequence[Experiment]) -> Table:
    # Narrow, as in 80 columns rich would otherwise leave nothing of the first column, the only one that may shrink.
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("experiment", overflow="fold", min_width=10)
    for header in ("runs", "done", "failed", "missing", "stale", "steps", "run time", "size", "models"):
        table.add_column(header, justify="right", no_wrap=True)
    for experiment in experiments:
        records = [run.record for run in experiment.runs if run.record is not None]
        models = sum(size_of(path) for run in experiment.runs for path in model_files(run))
        table.add_row(
            Text(_printable(str(experiment.path))),  # not markup: a folder may be named [red]
            f"{len(experiment.runs)}",
            *(
                _count(experiment.count(*states), style)
                for states, style in (
                    (("finished", "foreign"), "green"),
                    (("failed", "damaged"), "red"),
                    (("missing",), "yellow"),
                    (("stale",), "yellow"),
                )
            ),
            f"{sum(record.steps for record in records):,}",
            clock(sum(record.wall_seconds for record in records)),
            size_text(size_of(experiment.path)),
            size_text(models),
        )
    return table


def _count(n: int, style: str) -> Text:
    return Text(str(n) if n else "–", style=style if n else "")


def model_files(run: StoredRun) -> list[Path]:
    """Return the files of a run that hold its agents: weights, and statistics of VecNormalize."""
    if not run.path.is_dir():
        return []
    checkpoints = {path.name for path in run.path.glob("checkpoint*")}
    found = [path for pattern in MODELS for path in sorted(run.path.glob(pattern)) if path.name not in checkpoints]
    return [path for path in found if path.is_file() and not path.is_symlink()]


def _remarks(experiment: Experiment) -> list[str]:
    """Return a line for each reason why runs of an experiment have no valid result."""
    name = _printable(str(experiment.path))
    lines = [f"{name}: {_printable(experiment.problem)}"] if experiment.problem else []
    if not (experiment.path / "runs").is_dir():
        return [*lines, f"{name}: has no folder runs: tables and figures may be kept, but no run"]
    groups = problems_of(run for run in experiment.runs if run.state != "foreign")
    for problem, runs in list(groups.items())[:MAX_PROBLEMS]:
        lines.append(f"{name}: {_runs(runs)}: {textwrap.shorten(_printable(problem), 200, placeholder=' ...')}")
    if len(groups) > MAX_PROBLEMS:
        lines.append(f"{name}: and {len(groups) - MAX_PROBLEMS} further reasons, see the run.json of each run")
    return lines


def _runs(runs: Sequence[StoredRun]) -> str:
    """Return state and names of runs with the same problem: "3 runs failed (ppo CartPole-v1 seed 1, ...)"."""
    first = _printable(runs[0].label) + (", ..." if len(runs) > 1 else "")
    return f"{len(runs)} run{'s' if len(runs) > 1 else ''} {runs[0].state} ({first})"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
