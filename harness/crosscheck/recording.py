"""Record the traces of one run: of the reference, of CustomPPO, which names every quantity, and of the subject."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from harness.crosscheck.comparing.comparison import compare
from harness.crosscheck.explaining.trials import RecordedRun
from harness.crosscheck.profiles import Case
from harness.crosscheck.quantities import ORDER
from harness.crosscheck.tracing.common_settings import common_case
from harness.crosscheck.tracing.modes import TracingMode
from harness.crosscheck.tracing.trace import Trace
from harness.crosscheck.tracing.traced_run import trace_run
from harness.errors import HarnessError
from harness.training.algorithms import load_algorithm

__all__ = ["Pairing", "Subject", "common_cases", "record_fed", "record_for_search", "record_run", "torch_threads"]

Subject = str | type[Any]
"""Class of the implementation under test, or its name: registered, or "package.module:Class"."""

_BASELINES: Mapping[str, str] = {"ppo": "custom_ppo", "a2c": "custom_ppo:CustomA2C"}
"""Reference -> algorithm that equals it bit for bit, and whose every quantity is recorded by name."""


@dataclass(frozen=True)
class Pairing:
    """A subject and a reference, and how their runs are recorded."""

    subject: Subject
    reference: str
    copy_weights: bool = False
    """True to start the subject from the reference's initial weights and random state."""
    isolate_faults: bool = True
    """True to train a diverging subject once more as a fed run, which shows the faults behind the first one."""
    threads: int = 1
    """Number of PyTorch threads."""

    @property
    def subject_name(self) -> str:
        """Name that loads the subject again, if its module can be imported."""
        subject = self.subject
        return subject if isinstance(subject, str) else f"{subject.__module__}:{subject.__qualname__}"

    def load_subject(self) -> type[Any]:
        """Return the subject's class; raise UnknownNameError if there is none, or if it has no `learn`."""
        return load_algorithm(self.subject, methods=("learn",)) if isinstance(self.subject, str) else self.subject


def common_cases(pairing: Pairing, pairs: Sequence[tuple[Case, int]]) -> Iterator[tuple[Case, tuple[str, ...], int]]:
    """Yield each pair of case and seed with the settings that both sides accept, and notes on what was changed."""
    # Finding the common settings may take a training run, and a case comes back with every seed.
    common: dict[int, tuple[Case, tuple[str, ...]]] = {}
    for case, seed in pairs:
        if id(case) not in common:
            common[id(case)] = common_case(case, pairing.load_subject(), load_algorithm(pairing.reference))
        yield *common[id(case)], seed


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Set PyTorch's thread count, and restore it."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def record_run(pairing: Pairing, case: Case, seed: int) -> RecordedRun:
    """Train reference, baseline and subject, and compare the subject with the baseline.

    Raises HarnessError if the reference fails or makes no optimiser step, or if the baseline does not equal it.
    """
    reference = trace_run(
        load_algorithm(pairing.reference), case, seed, TracingMode.reference(), name=pairing.reference
    )
    if reference.error is not None:
        raise HarnessError(f"the reference {pairing.reference} cannot train in {case.env}: {reference.error}")
    if not any(place.rank == ORDER["parameters"] for place in reference.arrays):
        raise HarnessError(
            f"the reference {pairing.reference} makes no optimiser step in {case.env} (updates: {case.n_updates}): "
            "raise the number of updates"
        )
    baseline = reference
    if pairing.reference in _BASELINES:
        baseline = _record_baseline(pairing.reference, case, seed, TracingMode.reference(reference))
        divergence = compare(baseline, reference).first
        if divergence is not None:
            raise HarnessError(
                f"CustomPPO, which must equal the reference {pairing.reference}, diverges from it in {case.env} with "
                f"seed {seed} (first in {divergence.place.quantity}): this is a bug of the harness, please report it"
            )
    # CustomPPO logs other scalars than SB3 does, and in another order. A subject is more likely to log like SB3.
    baseline = dataclasses.replace(baseline, reported=reference.reported)
    return _record_subject(pairing, reference, baseline, case, seed)


def record_for_search(pairing: Pairing, case: Case, seed: int) -> RecordedRun:
    """Train baseline and subject only: `record_run` has shown that the baseline equals the reference.

    Its tensor operations are not logged, since a search needs no source lines of the reference.
    """
    baseline = _record_baseline(pairing.reference, case, seed, TracingMode.named_reference())
    return _record_subject(pairing, baseline, baseline, case, seed)


def record_fed(pairing: Pairing, run: RecordedRun) -> Trace:
    """Train the subject as a fed run: every stage gets the baseline's inputs, so that a fault cannot spread."""
    mode = TracingMode.fed(run.baseline, copy_weights=run.copy_weights)
    return trace_run(pairing.load_subject(), run.case, run.seed, mode, name=pairing.subject_name)


def _record_baseline(reference: str, case: Case, seed: int, mode: TracingMode) -> Trace:
    # The fused engine calls no part of the recipe, so most quantities could not be recorded.
    return trace_run(load_algorithm(_BASELINES[reference]), case, seed, mode, engine="autograd")


def _record_subject(pairing: Pairing, reference: Trace, baseline: Trace, case: Case, seed: int) -> RecordedRun:
    baseline = dataclasses.replace(baseline, idle=_unused_quantities(case))
    mode = TracingMode.subject(baseline, copy_weights=pairing.copy_weights)
    subject = trace_run(pairing.load_subject(), case, seed, mode, name=pairing.subject_name)
    return RecordedRun(
        case, seed, reference, baseline, subject, compare(baseline, subject), copy_weights=pairing.copy_weights
    )


def _unused_quantities(case: Case) -> frozenset[str]:
    """Return the quantities that have no effect under the settings of a case: a subject need not compute them."""
    unused = set() if case.settings.get("ent_coef") else {"entropy", "entropy_loss"}
    return frozenset(unused if case.settings.get("clip_range_vf") else unused | {"old_value"})
