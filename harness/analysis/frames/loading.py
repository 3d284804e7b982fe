"""Loading of the runs below a folder as four tidy tables, the only input of tables, figures and reports."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.analysis.frames.audit import fail_runs_that_end_early
from harness.analysis.frames.files import (
    NO_EPISODES,
    NO_EVALUATIONS,
    NO_PROGRESS,
    read_evaluations,
    read_monitors,
    read_progress,
)
from harness.analysis.frames.runs import FoundRun, find_runs
from harness.errors import RecordError
from harness.experiment.plan import RunSpec

__all__ = ["Results", "load_results"]

_LAST_EPISODES = 100  # scores of a foreign log without evaluations; SB3 averages as many in rollout/ep_rew_mean


@dataclass(frozen=True)
class Results:
    """Tidy tables, each with the columns algo, env (ordered categoricals over the same values) and seed.

    runs         one row for each run, failed and missing ones included:
                 status        "finished", "failed", "missing" (planned or begun, without a record), "foreign"
                 score         one number per run: mean return of the episodes that score_source names; NaN if failed
                 score_std     over those episodes (ddof 0, as SB3 prints it); n_final_episodes counts them
                 score_source  "final_evaluation" (harness), "last_evaluation", "last_episodes" (foreign logs), ""
                 steps, train_seconds, wall_seconds, fps (= steps / train_seconds), parameters_digest,
                 error ("Type: message" or ""), path (folder, or "" when there is none)
    episodes     timestep, reward, length, seconds of every training episode
    evaluations  timestep, reward, std, length, n_episodes of every evaluation during training
    progress     timestep, key, value: every logged value
    """

    runs: pd.DataFrame
    episodes: pd.DataFrame
    evaluations: pd.DataFrame
    progress: pd.DataFrame

    @property
    def algos(self) -> tuple[str, ...]:
        """Algorithms in the order of tables and figures."""
        return tuple(self.runs["algo"].cat.categories)

    @property
    def envs(self) -> tuple[str, ...]:
        """Environments in the order of tables and figures."""
        return tuple(self.runs["env"].cat.categories)


def load_results(
    *roots: Path, expected: Iterable[RunSpec] = (), algos: Sequence[str] = (), envs: Sequence[str] = ()
) -> Results:
    """Load every run below the folders: results of the harness, or any log of SB3 or rl_zoo3.

    expected: the plan; a planned run that is not on disk becomes a row with status "missing" and score NaN.
    algos, envs: names that come first, in this order; others follow in the order of the plan, then of their paths.

    Raises RecordError if a folder does not exist or holds no run, if two folders hold the same algorithm,
    environment and seed, or if a file of a finished run is damaged.
    """
    plan = list(expected)
    found = _name_as_planned([run for root in roots for run in find_runs(root)], plan)
    if not found and not plan:
        where = ", ".join(str(root) for root in roots)
        raise RecordError(f"{where}: holds no runs, expected run.json, *monitor.csv, evaluations.npz or progress.csv")
    _check_unique(found)
    tables = [_read_run(run) for run in found] + _planned_but_missing(plan, found)
    rows = [table.row for table in tables]
    orders = {
        "algo": _order(algos, [spec.algo for spec in plan], [row["algo"] for row in rows]),
        "env": _order(envs, [spec.env for spec in plan], [row["env"] for row in rows]),
    }
    unsorted = pd.DataFrame(rows).astype({name: pd.CategoricalDtype(order, True) for name, order in orders.items()})
    runs = unsorted.sort_values(["algo", "env", "seed"], kind="stable")
    tables = [tables[index] for index in runs.index]
    return Results(
        runs=fail_runs_that_end_early(runs.reset_index(drop=True)),
        episodes=_stack([table.episodes for table in tables], runs),
        evaluations=_stack([table.evaluations for table in tables], runs),
        progress=_stack([table.progress for table in tables], runs),
    )


@dataclass(frozen=True)
class _RunTables:
    """Row of one run in the table of runs, and its rows of the other tables."""

    row: dict[str, Any]
    episodes: pd.DataFrame
    evaluations: pd.DataFrame
    progress: pd.DataFrame


def _read_run(run: FoundRun) -> _RunTables:
    partial = run.status != "finished"
    episodes = read_monitors(run.path, partial=partial)
    evaluations = read_evaluations(run.path, partial=partial)
    progress = read_progress(run.path, partial=partial)
    measured = _foreign_row(episodes, evaluations, progress) if run.status == "foreign" else _harness_row(run)
    row = {"algo": run.algo, "env": run.env, "seed": run.seed, "status": run.status, **measured, "path": str(run.path)}
    return _RunTables(row, episodes, evaluations, progress)


def _harness_row(run: FoundRun) -> dict[str, Any]:
    record = run.record
    if record is None:
        return _NOTHING_MEASURED | {"error": "Missing: the run was interrupted before its record was written"}
    error = "" if record.error is None else f"{record.error['type']}: {record.error['message']}"
    scored = record.status == "finished" and len(record.final_rewards) > 0
    return {
        "score": record.score if scored else math.nan,
        "score_std": float(np.std(record.final_rewards)) if scored else math.nan,
        "n_final_episodes": len(record.final_rewards),
        "score_source": "final_evaluation" if scored else "",
        "steps": record.steps,
        "train_seconds": record.train_seconds,
        "wall_seconds": record.wall_seconds,
        "fps": record.steps / record.train_seconds if record.train_seconds > 0 else math.nan,
        "parameters_digest": record.parameters_digest,
        "error": error,
    }


def _foreign_row(episodes: pd.DataFrame, evaluations: pd.DataFrame, progress: pd.DataFrame) -> dict[str, Any]:
    timesteps = [int(table["timestep"].max()) for table in (episodes, evaluations, progress) if len(table)]
    measured = _NOTHING_MEASURED | {
        "steps": max(timesteps, default=0),
        "wall_seconds": float(episodes["seconds"].max()) if len(episodes) else math.nan,
    }
    if len(evaluations):
        last = evaluations.iloc[-1]
        score = {"score": last["reward"], "score_std": last["std"], "n_final_episodes": int(last["n_episodes"])}
        return measured | score | {"score_source": "last_evaluation"}
    if len(episodes):
        rewards = episodes["reward"].to_numpy()[-_LAST_EPISODES:]
        score = {"score": rewards.mean(), "score_std": rewards.std(), "n_final_episodes": len(rewards)}
        return measured | score | {"score_source": "last_episodes"}
    return measured


_NOTHING_MEASURED: dict[str, Any] = {
    "score": math.nan,
    "score_std": math.nan,
    "n_final_episodes": 0,
    "score_source": "",
    "steps": 0,
    "train_seconds": math.nan,
    "wall_seconds": math.nan,
    "fps": math.nan,
    "parameters_digest": "",
    "error": "",
}


def _name_as_planned(found: list[FoundRun], plan: list[RunSpec]) -> list[FoundRun]:
    """Give interrupted runs the names in the plan: a folder's name cannot hold "package.module:Class"."""
    by_folder = {spec.run_dir: spec for spec in plan}
    named = []
    for run in found:
        spec = by_folder.get("/".join(run.path.resolve().parts[-2:]))
        if run.status == "missing" and spec is not None:
            run = FoundRun(run.path, spec.algo, spec.env, spec.seed, run.status)
        named.append(run)
    return named


def _check_unique(found: list[FoundRun]) -> None:
    seen: dict[tuple[str, str, int], FoundRun] = {}
    for run in found:
        first = seen.setdefault((run.algo, run.env, run.seed), run)
        if first is not run:
            raise RecordError(
                f"{run.path}: holds {run.label}, and so does {first.path}; a seed counts once, so leave one folder out"
            )


def _planned_but_missing(plan: list[RunSpec], found: list[FoundRun]) -> list[_RunTables]:
    present = {(run.algo, run.env, run.seed) for run in found}
    nothing = _NOTHING_MEASURED | {"error": "Missing: the run was planned but never begun", "path": ""}
    rows = [
        {"algo": spec.algo, "env": spec.env, "seed": spec.seed, "status": "missing", **nothing}
        for spec in plan
        if (spec.algo, spec.env, spec.seed) not in present
    ]
    return [_RunTables(row, NO_EPISODES, NO_EVALUATIONS, NO_PROGRESS) for row in rows]


def _order(*names: Iterable[str]) -> list[str]:
    """Return the distinct names in the order of their first appearance."""
    return list(dict.fromkeys(name for group in names for name in group))


def _stack(parts: list[pd.DataFrame], runs: pd.DataFrame) -> pd.DataFrame:
    """Join the tables of all runs, each row with the identity of its run; `runs` has the order of `parts`."""
    owners = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    identity = runs[["algo", "env", "seed"]].iloc[owners].reset_index(drop=True)
    stacked = pd.concat([identity, pd.concat(parts, ignore_index=True)], axis=1)
    if "key" in stacked:
        stacked["key"] = stacked["key"].astype("category")
    return stacked
