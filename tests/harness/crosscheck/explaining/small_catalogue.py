"""A catalogue of few deviations, subjects with these mistakes and others, and runs of both, for tests of the search."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from stable_baselines3 import PPO

from custom_ppo import CustomPPO
from harness.catalogue.deviant import DeviantPPO
from harness.catalogue.deviation import Deviation
from harness.catalogue.patching import wrap
from harness.crosscheck.comparing.comparison import compare
from harness.crosscheck.explaining.explanation import Explanation
from harness.crosscheck.explaining.search import explain_runs
from harness.crosscheck.explaining.trials import RecordedRun
from harness.crosscheck.profiles import Case
from harness.crosscheck.tracing.modes import TracingMode
from harness.crosscheck.tracing.traced_run import trace_run
from tests.harness.crosscheck.tracing.cases import CASE

TEXT = {"description": "", "source": "", "remedy": ""}
LAMBDA = Deviation(id="lambda_1", stage="advantage", settings=lambda _: {"gae_lambda": 1.0}, **TEXT)
GAMMA = Deviation(id="gamma_1", stage="advantage", settings=lambda _: {"gamma": 1.0}, **TEXT)
ENTROPY = Deviation(id="no_entropy", stage="loss", settings=lambda _: {"ent_coef": 0.0}, **TEXT)
VALUE = Deviation(id="vf_coef_1", stage="loss", settings=lambda _: {"vf_coef": 1.0}, **TEXT)
UNCLIPPED = Deviation(id="unclipped", stage="clipped_gradient", settings=lambda _: {"max_grad_norm": 1e9}, **TEXT)
UNCLIPPED_TOO = replace(UNCLIPPED, id="unclipped_too")
KL = Deviation(id="never_reached", stage="minibatch", settings=lambda _: {"target_kl": 1e9}, **TEXT)
BROKEN = Deviation(id="broken", stage="loss", settings=lambda _: {"n_steps": -1}, **TEXT)
CATALOGUE = (LAMBDA, GAMMA, ENTROPY, VALUE, UNCLIPPED, KL, BROKEN)


def sb3_with(**changes: Any) -> type[PPO]:
    """Return SB3's PPO, which replaces the given hyperparameters by its own."""

    class Changed(PPO):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, **changes})

    return Changed


class Noisy(PPO):
    """A mistake that is in no catalogue: the critic's last bias is moved before every update."""

    def train(self) -> None:
        with torch.no_grad():
            self.policy.value_net.bias.add_(0.125)
        super().train()


def nudge(bias: torch.Tensor) -> None:
    """Change the last bit of a parameter."""
    with torch.no_grad():
        bias.copy_(torch.nextafter(bias, bias + 1))


class Nudged(PPO):
    """A mistake of one rounding: the last bit of the critic's last bias is changed after every update."""

    def train(self) -> None:
        super().train()
        nudge(self.policy.value_net.bias)


def _nudged_once(model: Any) -> None:
    def update(original: Any, progress_remaining: float) -> Any:
        report = original(progress_remaining)
        if model.agent.iteration == 1:
            nudge(model.policy.value_net.bias)
        return report

    wrap(model.agent, "update", update)


NUDGED_ONCE = Deviation(id="nudged_once", stage="value", patch=_nudged_once, **TEXT)


class Moved(PPO):
    """A mistake that `MOVED` explains: the critic's last bias is moved after every update."""

    def train(self) -> None:
        super().train()
        with torch.no_grad():
            self.policy.value_net.bias.add_(0.125)


def _moved(model: Any, *, nudged: bool) -> None:
    def update(original: Any, progress_remaining: float) -> Any:
        if nudged:
            nudge(model.policy.value_net.weight)
        report = original(progress_remaining)
        with torch.no_grad():
            model.policy.value_net.bias.add_(0.125)
        return report

    wrap(model.agent, "update", update)


MOVED = Deviation(id="moved", stage="value", patch=partial(_moved, nudged=False), **TEXT)
MOVED_AND_NUDGED = Deviation(id="moved_and_nudged", stage="value", patch=partial(_moved, nudged=True), **TEXT)


class Rounding(Nudged):
    """No entropy term, and a difference of one rounding from the second rollout on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "ent_coef": 0.0})


def run_of(subject: type[Any], seed: int = 0, case: Case = CASE) -> RecordedRun:
    """Return the recorded run of a subject compared with CustomPPO, which is baseline and reference in one."""
    baseline = trace_run(CustomPPO, case, seed, TracingMode.named_reference(), engine="autograd")
    trace = trace_run(subject, case, seed, TracingMode.subject(baseline))
    return RecordedRun(case, seed, baseline, baseline, trace, compare(baseline, trace))


def explained(subject: type[Any], catalogue: tuple[Deviation, ...] = CATALOGUE, **options: Any) -> Explanation:
    """Return the explanation of one run of the subject."""
    return explain_runs(DeviantPPO, [run_of(subject)], catalogue, **options)
