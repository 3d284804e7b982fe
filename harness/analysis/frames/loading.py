"""Loading of the runs below a folder as four tidy tables, the only input of tables, figures and reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from harness.analysis.frames.audit import (
    Budget,
    ScoreSource,
    audit_table,
    cut_at_budget,
    fail_incomplete_runs,
    score_alike,
)
from harness.analysis.frames.files import EVALUATIONS_NAME, MONITOR_SUFFIX, PROGRESS_NAME
from harness.analysis.frames.measured import NOTHING_MEASURED, MeasuredRun, given_run, measure
from harness.analysis.frames.pattern import PathPattern
from harness.analysis.frames.runs import Found, FoundRun, search
from harness.analysis.frames.score_files import SCORE_SUFFIXES, GivenScore, is_score_file, read_scores
from harness.errors import RecordError
from harness.experiment.plan import RunSpec

__all__ = ["Reading", "Results", "load_results"]

LOG_NAMES = (MONITOR_SUFFIX, EVALUATIONS_NAME, PROGRESS_NAME)
"""Ends of the names of log files, which are read with their folders."""


@dataclass(frozen=True)
class Reading:
    """Choices of the user about how logs of other programs are understood."""

    pattern: PathPattern | None = None
    """Parts of the paths of runs; None guesses them."""

    budget: Budget | None = None
    """Number of steps at which all runs are compared; None compares complete trainings."""

    score: ScoreSource | None = None
    """Source of the scores; None takes the best that all runs of an environment offer."""


@dataclass(frozen=True)
class Results:
    """Tidy tables, each with the columns algo, env (ordered categoricals over the same values) and seed.

    runs         one row for each run, failed and missing ones included:
                 status        "finished", "failed", "missing" (planned or begun, without a record), "foreign"
                 score         one number per run: mean return of the episodes that score_source names; NaN if failed
                 score_std     over those episodes (ddof 0, as SB3 prints it); n_final_episodes counts them
                 score_q05, score_cvar10, success_rate    5% quantile, mean of the lowest tenth, share of `is_success`
                 score_source  "final_evaluation" (harness), "last_evaluation", "last_episodes", "logged_mean" (SB3's
                               mean of 100 episodes), "given" (a file of scores), ""
                 steps, train_seconds, wall_seconds, fps (= steps / train_seconds), parameters_digest,
                 error ("Type: message" or ""), path (folder, or "" when there is none)
    episodes     timestep, reward, length, seconds of every training episode
    evaluations  timestep, reward, std, length, n_episodes of every evaluation during training
    progress     timestep, key, value: every logged value
    audit        file, status, remarks and more for each run and for each file that was left out, see `audit_table`
    """

    runs: pd.DataFrame
    episodes: pd.DataFrame
    evaluations: pd.DataFrame
    progress: pd.DataFrame
    audit: pd.DataFrame = field(default_factory=lambda: audit_table([], {}))

    @property
    def algos(self) -> tuple[str, ...]:
        """Algorithms in the order of tables and figures."""
        return tuple(self.runs["algo"].cat.categories)

    @property
    def envs(self) -> tuple[str, ...]:
        """Environments in the order of tables and figures."""
        return tuple(self.runs["env"].cat.categories)


def load_results(
    *roots: Path,
    expected: Iterable[RunSpec] = (),
    algos: Sequence[str] = (),
    envs: Sequence[str] = (),
    reading: Reading = Reading(),
) -> Results:
    """Load every run below the folders: results of the harness, logs of other programs, or files of scores.

    expected: the plan; a planned run that is not on disk becomes a row with status "missing" and score NaN.
    algos, envs: names that come first, in this order; others follow in the order of the plan, then of their paths.
    reading: how logs of other programs are understood.

    Raises RecordError if a folder does not exist or holds no run, if two folders hold the same algorithm,
    environment and seed, if the names of a run cannot be guessed, or if a file of a finished run is damaged.
    """
    plan = list(expected)
    given, found = _find(roots, reading, bool(plan))
    runs = _name_as_planned(found.runs, plan)
    if not runs and not given and not plan:
        raise RecordError(_nothing_found(roots, found, reading))
    measured = [*map(measure, runs), *map(given_run, given)]
    _check_unique(measured, runs)
    judged = score_alike(fail_incomplete_runs(cut_at_budget(measured, reading.budget)), reading.score)
    tables = judged + _planned_but_missing(plan, runs)
    rows = [dict(table.row) for table in tables]
    orders = {
        "algo": _order(algos, [spec.algo for spec in plan], [row["algo"] for row in rows]),
        "env": _order(envs, [spec.env for spec in plan], [row["env"] for row in rows]),
    }
    unsorted = pd.DataFrame(rows).astype({name: pd.CategoricalDtype(order, True) for name, order in orders.items()})
    in_order = unsorted.sort_values(["algo", "env", "seed"], kind="stable")
    tables = [tables[index] for index in in_order.index]
    return Results(
        runs=in_order.reset_index(drop=True),
        episodes=_stack([table.episodes for table in tables], in_order),
        evaluations=_stack([table.evaluations for table in tables], in_order),
        progress=_stack([table.progress for table in tables], in_order),
        audit=audit_table(tables, found.left_out),
    )


def _find(roots: Sequence[Path], reading: Reading, has_plan: bool) -> tuple[list[GivenScore], Found]:
    """Return the scores in files of scores, and the runs below the folders."""
    given: list[GivenScore] = []
    runs: list[FoundRun] = []
    left_out: dict[Path, str] = {}
    for root in roots:
        if root.is_file():
            given += read_scores(_score_file(root))
            continue
        found = search(root, reading.pattern)
        runs += found.runs
        left_out |= found.left_out
        if not found.runs and not has_plan:  # a folder of files of scores, one for each algorithm
            files = sorted(path for path in root.iterdir() if path.suffix in SCORE_SUFFIXES and is_score_file(path))
            given += [score for path in files for score in read_scores(path)]
    return given, Found(runs, left_out)


def _score_file(path: Path) -> Path:
    """Return the path of a file of scores; raise RecordError for a single log file."""
    if path.suffix not in SCORE_SUFFIXES or path.name.endswith(LOG_NAMES):
        raise RecordError(f"{path}: is no folder and no CSV or JSON file of scores, expected the folder of the run")
    return path


def _nothing_found(roots: Sequence[Path], found: Found, reading: Reading) -> str:
    where = ", ".join(str(root) for root in roots)
    if reading.pattern is not None and found.left_out:
        path, reason = next(iter(found.left_out.items()))
        return f"{where}: none of {len(found.left_out)} logs can be used, such as {path}: {reason}"
    return (
        f"{where}: holds no runs, expected run.json, *monitor.csv, evaluations.npz, progress.csv, "
        "event files of TensorBoard, or a CSV file of scores"
    )


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


def _check_unique(measured: Sequence[MeasuredRun], found: Sequence[FoundRun]) -> None:
    hint = '; if these names are wrong, say what the parts of the paths are: --pattern "{algo}_{env}_seed{seed}"'
    layouts = {str(run.path) for run in found if run.status == "foreign"}
    seen: dict[tuple[str, str, int], str] = {}
    for run in measured:
        row = run.row
        first = seen.setdefault((row["algo"], row["env"], row["seed"]), row["path"])
        if first != row["path"]:
            raise RecordError(
                f"{row['path']}: holds {row['algo']} {row['env']} seed {row['seed']}, and so does {first}; "
                "a seed counts once, so leave one folder out" + (hint if row["path"] in layouts else "")
            )


def _planned_but_missing(plan: list[RunSpec], found: list[FoundRun]) -> list[MeasuredRun]:
    present = {(run.algo, run.env, run.seed) for run in found}
    nothing = {**NOTHING_MEASURED, "error": "Missing: the run was planned but never begun", "path": ""}
    return [
        MeasuredRun({"algo": spec.algo, "env": spec.env, "seed": spec.seed, "status": "missing", **nothing})
        for spec in plan
        if (spec.algo, spec.env, spec.seed) not in present
    ]


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
