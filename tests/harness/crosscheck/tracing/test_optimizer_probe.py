from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, Optimizer, RMSprop

from harness.crosscheck.tracing.optimizer_probe import OptimizerProbe, describe_optimizer
from harness.crosscheck.tracing.recorder import Recorder
from harness.crosscheck.tracing.trace import Trace
from harness.crosscheck.tracing.trace_builder import TraceBuilder
from tests.harness.crosscheck.traces import trace


@pytest.fixture(autouse=True)
def _no_hooks_are_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Detach all probes that a test attached: their hooks are called for the optimisers of all tests that follow."""
    attached: list[weakref.ref[OptimizerProbe]] = []  # weak, as one test asks whether a probe is kept alive
    attach = OptimizerProbe.attach

    def remembered(probe: OptimizerProbe) -> None:
        attached.append(weakref.ref(probe))
        attach(probe)

    monkeypatch.setattr(OptimizerProbe, "attach", remembered)
    yield
    for probe in filter(None, (reference() for reference in attached)):
        probe.detach()


class Learner:
    """Two weights, [2] and [1], whose gradient is (2, 4, 6) times their learning signal."""

    def __init__(self, *, fed_from: Trace | None = None) -> None:
        self.a, self.b = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
        self.recorder = Recorder(TraceBuilder("x"), fed_from=fed_from)

    def probed_by(self, *optimizers: Optimizer) -> OptimizerProbe:
        self.probe = OptimizerProbe(self.recorder, [("a", self.a), ("b", self.b)], optimizers)
        self.probe.attach()
        return self.probe

    def backward(self) -> None:
        self.a.grad, self.b.grad = None, None
        (self.a @ torch.tensor([2.0, 4.0]) + 6 * self.b).sum().backward()

    def recorded(self, quantity: str) -> list[list[float]]:
        arrays = self.recorder.builder.live().arrays
        return [arrays[place].tolist() for place in sorted(arrays) if place.quantity == quantity]


def test_gradients_weights_and_step_sizes_of_every_step_are_recorded() -> None:
    learner = Learner()
    optimizer = SGD([learner.a, learner.b], lr=0.5)
    learner.probed_by(optimizer)
    for _ in range(2):
        learner.backward()
        nn.utils.clip_grad_value_([learner.a, learner.b], 3.0)
        optimizer.step()

    assert learner.recorded("gradient") == [[2, 4, 6]] * 2
    assert learner.recorded("clipped_gradient") == [[2, 3, 3]] * 2
    assert learner.recorded("parameters") == [[-1, -1.5, -1.5], [-2, -3, -3]]
    assert learner.recorded("learning_rate") == [[0.5], [0.5]]
    assert learner.recorded("optimizer_state") == [[], []]
    assert learner.recorder.builder.parameters == (("a", (2,)), ("b", (1,)))


def test_the_sum_of_accumulated_gradients_is_recorded() -> None:
    learner = Learner()
    optimizer = SGD([learner.a, learner.b], lr=1.0)
    learner.probed_by(optimizer)
    learner.backward()
    (learner.a.sum()).backward()
    optimizer.step()

    assert learner.recorded("gradient") == [[3, 5, 6]]


def test_a_weight_that_is_not_trained_has_no_gradient() -> None:
    learner = Learner()
    optimizer = SGD([learner.a], lr=1.0)
    learner.probed_by(optimizer)
    learner.backward()
    optimizer.step()

    assert learner.recorded("gradient") == [[2, 4, 6]]
    assert learner.recorded("clipped_gradient") == [[2, 4, 0]]
    assert learner.recorded("parameters") == [[-2, -4, 0]]


def test_moments_are_those_of_the_optimiser_kind_after_kind() -> None:
    learner = Learner()
    optimizer = Adam([learner.a, learner.b], betas=(0.5, 0.75))
    learner.probed_by(optimizer)
    learner.backward()
    optimizer.step()

    assert learner.recorded("optimizer_state") == [[1, 2, 3, 1, 4, 9]]


def test_two_optimisers_make_one_minibatch() -> None:
    learner = Learner()
    optimizers = SGD([learner.b], lr=1.0), SGD([learner.a], lr=1.0)
    learner.probed_by(*optimizers)
    for _ in range(2):
        learner.backward()
        for optimizer in optimizers:
            optimizer.step()

    assert learner.recorded("gradient") == [[2, 4, 6]] * 2
    assert learner.recorded("parameters") == [[-2, -4, -6], [-4, -8, -12]]
    assert learner.recorded("learning_rate") == [[1.0], [1.0]]
    assert learner.recorder.builder.optimizer == "SGD()"


def test_different_step_sizes_are_all_recorded() -> None:
    learner = Learner()
    optimizer = SGD([{"params": [learner.a], "lr": 0.5}, {"params": [learner.b], "lr": 0.25}])
    learner.probed_by(optimizer)
    learner.backward()
    optimizer.step()

    assert learner.recorded("learning_rate") == [[0.5, 0.25]]


def test_an_unused_optimiser_of_the_same_weights_changes_nothing() -> None:
    learner = Learner()
    idle, used = Adam([learner.a, learner.b]), SGD([learner.a, learner.b], lr=1.0)
    learner.probed_by(idle, used)
    for _ in range(2):
        learner.backward()
        used.step()

    assert learner.recorded("gradient") == [[2, 4, 6]] * 2
    assert learner.recorded("parameters") == [[-2, -4, -6], [-4, -8, -12]]
    assert learner.recorded("learning_rate") == [[1.0], [1.0]]
    assert learner.recorder.builder.optimizer == "SGD()"


def test_a_second_step_of_one_optimiser_begins_another_minibatch() -> None:
    learner = Learner()
    first, second = SGD([learner.a], lr=1.0), SGD([learner.b], lr=1.0)
    learner.probed_by(first, second)
    learner.backward()
    first.step()
    first.step()
    second.step()

    assert learner.recorded("parameters") == [[-2, -4, 0], [-4, -8, -6]]


def test_a_new_optimiser_takes_the_place_of_the_one_before() -> None:
    learner = Learner()
    learner.probed_by(Adam([learner.a, learner.b], lr=1.0))
    for rate in (1.0, 0.5):
        optimizer = SGD([learner.a, learner.b], lr=rate)
        learner.backward()
        optimizer.step()

    assert learner.recorded("parameters") == [[-2, -4, -6], [-3, -6, -9]]
    assert learner.recorded("learning_rate") == [[1.0], [0.5]]
    assert learner.probe.optimizers == [optimizer]
    assert learner.recorder.builder.optimizer == "SGD()"


def test_one_of_two_optimisers_may_be_replaced() -> None:
    learner = Learner()
    kept, replaced = SGD([learner.a], lr=1.0), SGD([learner.b], lr=1.0)
    learner.probed_by(kept, replaced)
    anew = SGD([learner.b], lr=0.5)
    learner.backward()
    anew.step()
    kept.step()

    assert learner.recorded("parameters") == [[-2, -4, -3]]
    assert learner.probe.optimizers == [kept, anew]


def test_the_only_optimiser_may_be_made_during_training() -> None:
    learner = Learner()
    learner.probed_by()
    learner.backward()
    SGD([learner.a, learner.b], lr=1.0).step()

    assert learner.recorded("parameters") == [[-2, -4, -6]]
    assert learner.recorder.builder.optimizer == "SGD()"


def test_optimisers_of_other_weights_are_not_recorded() -> None:
    learner = Learner()
    learner.probed_by(SGD([learner.a, learner.b], lr=1.0))
    other = nn.Parameter(torch.ones(1))
    other.sum().backward()
    SGD([other], lr=1.0).step()

    assert other.tolist() == [0.0]
    assert learner.recorded("parameters") == []


def test_a_fed_run_goes_on_with_the_others_gradients_and_weights() -> None:
    other = trace(
        {
            (0, 1, "gradient"): np.array([1, 1, 1], np.float32),
            (0, 1, "clipped_gradient"): np.array([7, 7, 7], np.float32),
            (0, 1, "parameters"): np.array([10, 20, 30], np.float32),
            (0, 1, "optimizer_state"): np.array([1, 2, 3, 4, 5, 6], np.float32),
        }
    )
    learner = Learner(fed_from=other)
    optimizer = Adam([learner.a, learner.b])
    learner.probed_by(optimizer)
    learner.backward()
    assert (learner.a.grad, learner.b.grad) is not None
    assert learner.b.grad.tolist() == [1.0]  # type: ignore[union-attr]
    optimizer.step()

    assert learner.recorded("gradient") == [[2, 4, 6]]
    assert learner.recorded("clipped_gradient") == [[1, 1, 1]]
    assert (learner.a.tolist(), learner.b.tolist()) == ([10, 20], [30])
    state: dict[str, Any] = optimizer.state[learner.b]
    assert (state["exp_avg"].tolist(), state["exp_avg_sq"].tolist()) == ([3], [6])


def test_a_detached_probe_records_nothing_and_keeps_nothing_alive() -> None:
    learner = Learner()
    optimizer = SGD([learner.a, learner.b], lr=1.0)
    learner.probed_by(optimizer)
    learner.probe.detach()
    learner.backward()
    optimizer.step()
    assert learner.recorded("parameters") == []

    remembered = weakref.ref(learner.recorder)
    weights = learner.a, learner.b
    del learner
    gc.collect()
    assert remembered() is None
    assert len(weights) == 2


@pytest.mark.parametrize(
    ("optimizer", "text"),
    [
        (Adam([torch.zeros(1)], eps=1e-5), "Adam(betas=(0.9, 0.999), eps=1e-05)"),
        (Adam([torch.zeros(1)], weight_decay=0.1, amsgrad=True), "weight_decay=0.1, amsgrad=True)"),
        (RMSprop([torch.zeros(1)], alpha=0.9), "RMSprop(alpha=0.9, eps=1e-08)"),
        (SGD([torch.zeros(1)], lr=1.0), "SGD()"),
    ],
)
def test_an_optimiser_is_described_by_its_settings(optimizer: Optimizer, text: str) -> None:
    assert describe_optimizer(optimizer).endswith(text)
