"""Results of cross-checks, written down by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from harness.catalogue.deviation import Deviation
from harness.crosscheck.comparing.source_lines import SourceLine
from harness.crosscheck.explaining.explanation import Explanation, RuledOut
from harness.crosscheck.explaining.scores import NO_DIVERGENCE, Score
from harness.crosscheck.reporting.findings import Finding
from harness.crosscheck.reporting.results import Crosscheck, RunResult

ROUNDED = Finding(
    quantity="value",
    meaning="V(s) while acting, [N]",
    iteration=1,
    step=3,
    step_of_rollout=3,
    epoch=None,
    minibatch=None,
    kind="value",
    beyond_rounding=False,
    size=1e-8,
    ratio=None,
    element="environment 1",
    n_different=1,
    n_elements=2,
    subject="0.1",
    reference="0.10000001",
    relation="within rounding: the same operations in another order can explain it",
)
HALVED = dataclasses.replace(
    ROUNDED,
    quantity="value_loss",
    meaning="the critic's part of the loss, before vf_coef",
    step=4,
    step_of_rollout=4,
    epoch=2,
    minibatch=1,
    beyond_rounding=True,
    size=0.5,
    ratio=0.5,
    element="",
    n_different=1,
    n_elements=1,
    subject="0.25",
    reference="0.5",
    relation="0.5 times the reference's",
)
LINE = SourceLine("/src/ppo.py", 12, "train", "loss = 0.5 * error[mask]", "mul", ("batch_return",), 0.25)
SAME = RunResult(
    env="CartPole15",
    seed=0,
    verdict="identical",
    first=None,
    first_beyond_rounding=None,
    subject_line=None,
    reference_line=None,
    faults=(),
    largest=((1, 0, 0.0), (1, 1, 0.0)),
    n_compared=1200,
    n_minibatches=6,
    optimizers=None,
    notes=(),
)
ROUNDING = dataclasses.replace(SAME, seed=1, verdict="rounding", first=ROUNDED, largest=((1, 0, 1e-8), (1, 1, 1e-8)))
DIFFERENT = dataclasses.replace(
    SAME,
    seed=2,
    verdict="different",
    first=ROUNDED,
    first_beyond_rounding=HALVED,
    subject_line=LINE,
    faults=(HALVED,),
    largest=((1, 0, 1e-8), (1, 1, np.inf)),
    optimizers=("Adam(eps=1e-08)", "Adam(eps=1e-05)"),
    notes=("the subject takes no gamma: the reference is given 0.98",),
)
DEVIATION = Deviation(
    id="value_loss_halved",
    description="The value loss is halved [as in baselines]",
    stage="value_loss",
    source="openai/baselines#372",
    remedy="leave the half out",
)
EXPLAINED = Explanation(
    verdict="explained exactly",
    deviations=(("value_loss_halved",),),
    scores=(Score(NO_DIVERGENCE, NO_DIVERGENCE), Score(NO_DIVERGENCE, NO_DIVERGENCE)),
    ruled_out=RuledOut(),
    n_trials=80,
    seconds=12.4,
)


def cross_check(*runs: RunResult, **changes: Any) -> Crosscheck:
    """Result of these runs, with the worst of their verdicts."""
    worst = max((run.verdict for run in runs), key=["identical", "rounding", "different"].index)
    plain = Crosscheck("my.ppo:PPO", "ppo", "stress", worst, runs, None, None, 3.2)
    return dataclasses.replace(plain, **changes)
