"""Judge logs of other programs: which trainings are complete, and from which source all can be scored alike.

Nothing in such a log says that a training was stopped or has crashed, so that a piece of a training would be compared
with a whole one. Whatever is found has a row in the table `audit_table`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
import pandas as pd

from harness.analysis.frames.measured import MeasuredRun

__all__ = [
    "COMPLETE_SHARE",
    "DOUBTFUL",
    "ENDED_EARLY",
    "Budget",
    "ScoreSource",
    "audit_table",
    "cut_at_budget",
    "fail_incomplete_runs",
    "score_alike",
]

Budget = int | Literal["common"]
"""Number of steps at which all runs are compared; "common" is the largest that all runs of an environment reach."""

ScoreSource = Literal["evaluations", "episodes"]

ENDED_EARLY = "Ended early"
UNREADABLE = "Unreadable"
EMPTY = "Empty"
NO_SCORE = "No score"
NOT_FINITE = "Not finite"

DOUBTFUL = (ENDED_EARLY, UNREADABLE, EMPTY, NO_SCORE)
"""Beginnings of the errors of runs whose true score is unknown, as nothing says why their log is incomplete."""

COMPLETE_SHARE = 0.9
"""Share of the planned or usual steps from which a run counts as complete."""

_SOURCES: Mapping[ScoreSource | None, tuple[str, ...]] = {
    None: ("given", "final_evaluation", "last_evaluation", "last_episodes", "logged_mean"),
    "evaluations": ("final_evaluation", "last_evaluation"),
    "episodes": ("last_episodes", "logged_mean"),
}
"""Sources of a score in the order of preference."""

_Key = tuple[str, str]


def cut_at_budget(runs: Sequence[MeasuredRun], budget: Budget | None) -> list[MeasuredRun]:
    """Return the runs as they were after `budget` steps; a foreign run that ended earlier has failed."""
    if budget is None:
        return list(runs)
    budgets = {env: budget if budget != "common" else min(s) for env, s in _steps_by_env(runs).items()}
    cut = []
    for run in runs:
        steps = budgets.get(run.row["env"], 0)
        shorter = run.until(steps) if steps else run
        if run.row["status"] == "foreign" and 0 < run.row["steps"] < COMPLETE_SHARE * steps:
            share = run.row["steps"] / steps
            shorter = run.failed(
                f"{ENDED_EARLY}: after {run.row['steps']:,} steps, {share:.0%} of the budget {steps:,}"
            )
        cut.append(replace(shorter, planned_steps=None))
    return cut


def _steps_by_env(runs: Sequence[MeasuredRun]) -> dict[str, list[int]]:
    steps: dict[str, list[int]] = {}
    for run in runs:
        if run.row["status"] in ("foreign", "finished") and run.row["steps"] > 0:
            steps.setdefault(run.row["env"], []).append(int(run.row["steps"]))
    return steps


def fail_incomplete_runs(runs: Sequence[MeasuredRun]) -> list[MeasuredRun]:
    """Return the runs, in which foreign ones that end early, hold nothing, or hold no finite returns have failed.

    A run ends early if it has less than nine tenths of the steps that its settings ask for or, without such settings,
    of the median steps of the foreign runs of the same algorithm in the same environment.
    """
    steps: dict[_Key, list[int]] = {}
    for run in runs:
        if run.row["status"] == "foreign" and run.row["steps"] > 0:
            steps.setdefault((run.row["algo"], run.row["env"]), []).append(int(run.row["steps"]))
    usual = {key: median(values) for key, values in steps.items()}
    return [_judged(run, usual) if run.row["status"] == "foreign" else run for run in runs]


def _judged(run: MeasuredRun, usual: Mapping[_Key, float]) -> MeasuredRun:
    if run.given is not None:
        return run
    steps = int(run.row["steps"])
    if not steps:
        return run.failed(f"{UNREADABLE}: {run.remarks[0]}" if run.damaged else f"{EMPTY}: no episode was finished")
    for name, table in (("episode", run.episodes), ("evaluation", run.evaluations)):
        wrong = ~np.isfinite(table["reward"].to_numpy())
        if wrong.any():
            first = table[wrong].iloc[0]
            without = replace(run, **{f"{name}s": table[~wrong]})
            return without.failed(
                f"{NOT_FINITE}: the return of the {name} at step {int(first['timestep']):,} is {first['reward']}"
            )
    expected = run.planned_steps or usual[run.row["algo"], run.row["env"]]
    if steps < COMPLETE_SHARE * expected:
        of = "that its settings ask for" if run.planned_steps else "that are usual here"
        return run.failed(f"{ENDED_EARLY}: after {steps:,} steps, {steps / expected:.0%} of the {expected:,.0f} {of}")
    return run


def score_alike(runs: Sequence[MeasuredRun], source: ScoreSource | None) -> list[MeasuredRun]:
    """Return the runs with scores, in each environment from the best source that all runs there offer.

    Evaluations play a policy without exploration and training episodes with it, so that their means differ. Where no
    source is common to all, each run has its own best, which the column `score_source` shows. An environment without
    foreign runs is left as it is, and so is a failed run.
    source: None chooses among all; a run that offers no other than the excluded ones has failed.
    """
    foreign = {run.row["env"] for run in runs if run.row["status"] == "foreign"}
    offers = [_offered(run, source) if run.row["env"] in foreign else [] for run in runs]
    common: dict[str, set[str]] = {}
    for run, offered in zip(runs, offers, strict=True):
        if offered:
            common.setdefault(run.row["env"], set(offered)).intersection_update(offered)
    scored = []
    for run, offered in zip(runs, offers, strict=True):
        if run.row["env"] not in foreign or run.row["status"] not in ("foreign", "finished"):
            scored.append(run)
        elif offered:
            usable = [name for name in offered if name in common[run.row["env"]]] or list(offered)
            scored.append(run.scored(usable[0]))
        else:
            wanted = "neither evaluations nor returns of episodes" if source is None else f"no {source}"
            why = f"{UNREADABLE}: {run.remarks[0]}" if run.damaged else f"{NO_SCORE}: the log holds {wanted}"
            scored.append(run.failed(why))
    return scored


def _offered(run: MeasuredRun, source: ScoreSource | None) -> list[str]:
    """Return the sources that a run can be scored from, best first."""
    if run.row["status"] not in ("foreign", "finished"):
        return []
    offered = run.scores
    return [name for name in _SOURCES[source] if name in offered]


def audit_table(runs: Sequence[MeasuredRun], left_out: Mapping[Path, str]) -> pd.DataFrame:
    """Return a row for each run, and for each file or folder that was left out, with the reason.

    Columns: file, algo, env, seed, steps, status, score, score_source, n_final_episodes, layout (pattern by which the
    run was named), remarks (why it failed, what of it is damaged, what was assumed).
    """
    columns = ("algo", "env", "seed", "steps", "status", "score", "score_source", "n_final_episodes")
    rows = [
        {
            "file": run.row["path"],
            **{name: run.row[name] for name in columns},
            # A file of scores may not say how long was trained, and no log how many episodes a logged mean has.
            **{name: run.row[name] or None for name in ("steps", "n_final_episodes")},
            "layout": run.layout,
            "remarks": "; ".join(dict.fromkeys(filter(None, (run.row["error"], *_beyond(run))))),
        }
        for run in runs
    ]
    rows += [{"file": str(path), "status": "left out", "remarks": reason} for path, reason in left_out.items()]
    table = pd.DataFrame(rows, columns=["file", *columns, "layout", "remarks"])
    return table.astype(dict.fromkeys(("seed", "steps", "n_final_episodes"), "Int64")).fillna(
        dict.fromkeys(("algo", "env", "score_source", "layout"), "")
    )


def _beyond(run: MeasuredRun) -> list[str]:
    """Return the remarks that the run's error does not repeat."""
    return [remark for remark in run.remarks if remark not in run.row["error"]]
