"""Find logs of other programs that end early: nothing else says that a training was stopped or has crashed."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

__all__ = ["COMPLETE_SHARE", "ENDED_EARLY", "fail_runs_that_end_early"]

ENDED_EARLY = "Ended early"
"""Beginning of the error of such a run."""

COMPLETE_SHARE = 0.9
"""Share of the usual steps of its algorithm and environment from which a run counts as complete."""


def fail_runs_that_end_early(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the table of runs in which each foreign run that ends early has failed, with the reason as its error.

    Usual are the median steps of the foreign runs of the same algorithm in the same environment. Scoring a log that
    stops at two fifths of them would compare a training with a piece of one.
    runs: columns algo, env, status, steps, score, score_std, n_final_episodes, score_source, error.
    """
    foreign = runs["status"] == "foreign"
    if not foreign.any():
        return runs
    groups = runs[foreign].groupby(["algo", "env"], observed=True)["steps"]
    usual = groups.transform("median")
    early = usual.index[runs.loc[usual.index, "steps"] < COMPLETE_SHARE * usual]
    audited = runs.copy()
    for index in early:
        steps, expected = int(runs.loc[index, "steps"]), float(usual.loc[index])
        reason = (
            f"{ENDED_EARLY}: after {steps:,} steps, {steps / expected:.0%} of the {expected:,.0f} that are usual here"
        )
        nothing: dict[str, Any] = {"score": math.nan, "score_std": math.nan, "n_final_episodes": 0, "score_source": ""}
        for name, value in {"status": "failed", "error": reason, **nothing}.items():
            audited.loc[index, name] = value
    return audited
