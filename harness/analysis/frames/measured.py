"""Measurements of one run: its row in the table of runs, its logs, and the scores that they offer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from harness.analysis.frames.events import read_events
from harness.analysis.frames.files import (
    CUT_LINE,
    NO_EPISODES,
    NO_EVALUATIONS,
    NO_PROGRESS,
    read_evaluations,
    read_monitor_files,
    read_monitors,
    read_progress,
)
from harness.analysis.frames.runs import FoundRun
from harness.analysis.frames.score_files import GivenScore
from harness.analysis.frames.zoo_files import planned_steps

__all__ = ["NOTHING_MEASURED", "MeasuredRun", "Score", "given_run", "measure"]

_LAST_EPISODES = 100  # scores of a foreign log without evaluations; SB3 averages as many in rollout/ep_rew_mean
_FEWEST_FOR_QUANTILE, _FEWEST_FOR_TAIL = 20, 10
_MEAN_OF_LAST_EPISODES = "rollout/ep_rew_mean"

NOTHING_MEASURED: Mapping[str, Any] = MappingProxyType(
    {
        "score": math.nan,
        "score_std": math.nan,
        "n_final_episodes": 0,
        "score_source": "",
        "score_q05": math.nan,
        "score_cvar10": math.nan,
        "success_rate": math.nan,
        "steps": 0,
        "train_seconds": math.nan,
        "wall_seconds": math.nan,
        "fps": math.nan,
        "parameters_digest": "",
        "error": "",
    }
)
"""Columns of the table of runs for a run without any data."""


@dataclass(frozen=True)
class Score:
    """Mean return over episodes: value, their standard deviation and number (NaN and 0 if unknown)."""

    value: float
    std: float
    n_episodes: int
    q05: float = math.nan
    """5% quantile of the returns; NaN with fewer than 20 episodes."""
    cvar10: float = math.nan
    """Mean of the lowest tenth of the returns; NaN with fewer than 10 episodes."""
    success_rate: float = math.nan
    """Share of episodes that end with `is_success`; NaN if the environment does not tell."""

    @classmethod
    def of(cls, returns: Sequence[float], successes: Sequence[bool] = ()) -> Score:
        """Return the score of episodes, of which there is at least one."""
        ordered = np.sort(np.asarray(returns, dtype=np.float64))
        n = ordered.size
        return cls(
            value=sum(returns) / n,
            std=float(np.std(returns)),
            n_episodes=n,
            q05=float(np.quantile(ordered, 0.05)) if n >= _FEWEST_FOR_QUANTILE else math.nan,
            cvar10=float(ordered[: math.ceil(n / 10)].mean()) if n >= _FEWEST_FOR_TAIL else math.nan,
            success_rate=sum(successes) / len(successes) if successes else math.nan,
        )

    @property
    def columns(self) -> dict[str, Any]:
        """Columns of the table of runs that it fills."""
        return {
            "score": self.value,
            "score_std": self.std,
            "n_final_episodes": self.n_episodes,
            "score_q05": self.q05,
            "score_cvar10": self.cvar10,
            "success_rate": self.success_rate,
        }


@dataclass(frozen=True, eq=False)
class MeasuredRun:
    """Row of one run in the table of runs, its rows of the other tables, and what an audit must know."""

    row: Mapping[str, Any]
    episodes: pd.DataFrame = field(default_factory=lambda: NO_EPISODES)
    evaluations: pd.DataFrame = field(default_factory=lambda: NO_EVALUATIONS)
    progress: pd.DataFrame = field(default_factory=lambda: NO_PROGRESS)
    remarks: tuple[str, ...] = ()
    """Damage and assumptions."""

    damaged: bool = False
    """True if a log file, or a part of one, could not be read."""

    planned_steps: int | None = None
    """Number of steps that the training was to take, None if the log does not say."""

    layout: str = ""
    """Pattern by which a foreign run was named."""

    given: Score | None = None
    """Score that was measured elsewhere: the final evaluation of the harness, or an entry of a file of scores."""

    @property
    def scores(self) -> dict[str, Score]:
        """Scores that the run offers by their sources."""
        offered = {}
        if self.given is not None:
            offered["final_evaluation" if self.row["status"] == "finished" else "given"] = self.given
        if len(self.evaluations):
            last = self.evaluations.iloc[-1]
            offered["last_evaluation"] = Score(float(last["reward"]), float(last["std"]), int(last["n_episodes"]))
        if len(self.episodes):
            rewards = self.episodes["reward"].to_numpy()[-_LAST_EPISODES:]
            offered["last_episodes"] = Score(float(rewards.mean()), float(rewards.std()), len(rewards))
        logged = self.progress.loc[self.progress["key"] == _MEAN_OF_LAST_EPISODES, "value"]
        if len(logged):
            offered["logged_mean"] = Score(float(logged.iloc[-1]), math.nan, 0)
        return offered

    def until(self, budget: int) -> MeasuredRun:
        """Return the run as its logs describe it after `budget` steps, and without its final score if it went on."""
        steps = int(self.row["steps"])
        if steps <= budget:
            return self
        tables = (table[table["timestep"] <= budget] for table in (self.episodes, self.evaluations, self.progress))
        episodes, evaluations, progress = tables
        row = {**self.row, "steps": budget, "parameters_digest": ""}
        return replace(self, row=row, episodes=episodes, evaluations=evaluations, progress=progress, given=None)

    def failed(self, error: str) -> MeasuredRun:
        """Return the run as one that has failed, without a score."""
        nothing = {name: NOTHING_MEASURED[name] for name in (*Score(0.0, 0.0, 0).columns, "score_source")}
        return replace(self, row={**self.row, **nothing, "status": "failed", "error": error})

    def scored(self, source: str) -> MeasuredRun:
        """Return the run with the score from a source."""
        score = self.scores[source]
        return replace(self, row={**self.row, **score.columns, "score_source": source})


def measure(run: FoundRun) -> MeasuredRun:
    """Read the logs of a run; raise RecordError for a damaged file of a run that the harness has finished."""
    return _foreign(run) if run.status == "foreign" else _of_the_harness(run)


def given_run(given: GivenScore) -> MeasuredRun:
    """Return a run of which a file gives the score, and nothing else is known."""
    row = {"algo": given.algo, "env": given.env, "seed": given.seed, "status": "failed" if given.error else "foreign"}
    measured = {**NOTHING_MEASURED, "steps": given.steps, "error": given.error, "path": given.where}
    return MeasuredRun(row | measured, given=None if given.error else Score(given.score, math.nan, 0))


def _identity(run: FoundRun) -> dict[str, Any]:
    return {"algo": run.algo, "env": run.env, "seed": run.seed, "status": run.status}


def _of_the_harness(run: FoundRun) -> MeasuredRun:
    partial = run.status != "finished"
    logs: dict[str, Any] = {
        "episodes": read_monitors(run.path, partial=partial),
        "evaluations": read_evaluations(run.path, partial=partial),
        "progress": read_progress(run.path, partial=partial),
    }
    record = run.record
    if record is None:
        error = "Missing: the run was interrupted before its record was written"
        return MeasuredRun({**_identity(run), **NOTHING_MEASURED, "error": error, "path": str(run.path)}, **logs)
    row = {
        **_identity(run),
        **NOTHING_MEASURED,
        "n_final_episodes": len(record.final_rewards),
        "steps": record.steps,
        "train_seconds": record.train_seconds,
        "wall_seconds": record.wall_seconds,
        "fps": record.steps / record.train_seconds if record.train_seconds > 0 else math.nan,
        "parameters_digest": record.parameters_digest,
        "error": "" if record.error is None else f"{record.error['type']}: {record.error['message']}",
        "path": str(run.path),
    }
    if record.status != "finished" or not record.final_rewards:
        return MeasuredRun(row, **logs)
    final = Score.of(record.final_rewards, record.final_successes)
    return MeasuredRun(row, **logs, given=final).scored("final_evaluation")


def _foreign(run: FoundRun) -> MeasuredRun:
    damage: list[str] = []
    remarks = list(run.remarks)
    episodes = read_monitor_files(run.files.monitors, partial=True, damage=damage)
    if any(not line.endswith(CUT_LINE) for line in damage):
        episodes = NO_EPISODES  # behind a broken line, or without one of its files, no episode has a known timestep
    evaluations = read_evaluations(run.path, partial=True, damage=damage) if run.files.evaluations else NO_EVALUATIONS
    progress = read_progress(run.path, partial=True, damage=damage) if run.files.progress else NO_PROGRESS
    if run.files.events and not len(progress):  # SB3 writes the same values into both
        from_events, progress = read_events(run.files.events, damage)
        episodes = episodes if run.files.monitors else from_events
    if not len(evaluations):
        evaluations = _logged_evaluations(progress)
        if len(evaluations):
            remarks.append("evaluations are values that were logged; their number of episodes is unknown")
    frames = _frames_per_step(run.env, episodes, evaluations, progress)
    if frames > 1:
        remarks.append(f"its Monitor files count {frames} frames for each step")
        episodes = episodes.assign(timestep=episodes["timestep"] // frames)
    measured = {
        "steps": max(map(_last_step, (episodes, evaluations, progress))),
        "wall_seconds": float(episodes["seconds"].max()) if len(episodes) else math.nan,
    }
    return MeasuredRun(
        {**_identity(run), **NOTHING_MEASURED, **measured, "path": str(run.path)},
        *(episodes, evaluations, progress),
        remarks=(*damage, *remarks),
        damaged=bool(damage),
        planned_steps=planned_steps(run.path),
        layout=run.layout,
    )


def _last_step(table: pd.DataFrame) -> int:
    return int(table["timestep"].max()) if len(table) else 0


def _logged_evaluations(progress: pd.DataFrame) -> pd.DataFrame:
    """Return the evaluations that SB3's EvalCallback has logged; it does not log their spread over episodes."""
    rows = progress[progress["key"].isin(["eval/mean_reward", "eval/mean_ep_length"])]
    if not len(rows):
        return NO_EVALUATIONS
    by_step = rows.pivot_table(index="timestep", columns="key", values="value", aggfunc="last", observed=True)
    by_step = by_step.reindex(columns=["eval/mean_reward", "eval/mean_ep_length"]).dropna(subset="eval/mean_reward")
    return pd.DataFrame(
        {
            "timestep": by_step.index.to_numpy(np.int64),
            "reward": by_step["eval/mean_reward"].to_numpy(np.float64),
            "std": np.nan,
            "length": by_step["eval/mean_ep_length"].to_numpy(np.float64),
            "n_episodes": np.zeros(len(by_step), np.int64),
        }
    )


def _frames_per_step(env: str, episodes: pd.DataFrame, evaluations: pd.DataFrame, progress: pd.DataFrame) -> int:
    """Return the number of frames that Monitor has counted for each step: it lies below SB3's frame skip for Atari."""
    steps = max(map(_last_step, (evaluations, progress)))
    if not len(episodes) or not steps or not ("NoFrameskip" in env or env.startswith("ALE/")):
        return 1
    ratio = _last_step(episodes) / steps
    frames = max(1, round(ratio))
    return frames if abs(ratio - frames) < 0.05 * frames else 1
