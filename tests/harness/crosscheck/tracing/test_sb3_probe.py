from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from harness.crosscheck.quantities import ORDER
from harness.crosscheck.tracing.modes import TracingMode
from harness.crosscheck.tracing.recorder import Recorder
from harness.crosscheck.tracing.sb3_probe import BATCH, STORED, MinibatchCounter, record_network_output
from harness.crosscheck.tracing.trace import Trace
from harness.crosscheck.tracing.trace_builder import TraceBuilder
from harness.crosscheck.tracing.traced_run import trace_run
from tests.harness.crosscheck.traces import trace
from tests.harness.crosscheck.tracing.cases import CASE

SEEN: list[dict[str, Any]] = []
"""Buffers that `Peeking` has trained on."""


class Peeking(PPO):
    """SB3's PPO that copies its buffer before it trains."""

    def train(self) -> None:
        buffer = self.rollout_buffer
        SEEN.append({name: getattr(buffer, name).copy() for name in (*STORED, "advantages", "returns")})
        super().train()


@pytest.fixture(scope="module")
def seen() -> tuple[Trace, list[dict[str, Any]]]:
    SEEN.clear()
    return trace_run(Peeking, CASE, 0), list(SEEN)


def test_all_but_sb3s_local_variables_are_recorded(seen: tuple[Trace, list[dict[str, Any]]]) -> None:
    local = ("normalized_advantage", "ratio", "surrogate", "policy_loss", "predicted_value", "value_loss")

    assert {ORDER[name] for name in ORDER if name not in (*local, "entropy_loss")} == seen[0].recorded_ranks


@pytest.mark.parametrize(("name", "quantity"), STORED.items())
def test_stored_values_are_those_of_the_buffer(
    seen: tuple[Trace, list[dict[str, Any]]], name: str, quantity: str
) -> None:
    recorded, buffers = seen

    for update, buffer in enumerate(buffers):
        rows = [recorded.get(update * 16 + step, 0, quantity) for step in range(1, 17)]
        assert np.array_equal(np.stack(rows), buffer[name])  # type: ignore[arg-type]


@pytest.mark.parametrize("quantity", ["advantage", "return"])
def test_estimates_are_those_of_the_buffer(seen: tuple[Trace, list[dict[str, Any]]], quantity: str) -> None:
    for update, buffer in enumerate(seen[1], 1):
        assert np.array_equal(seen[0].get(update * 16, 0, quantity), buffer[f"{quantity}s"])  # type: ignore[arg-type]


def test_a_minibatch_holds_what_its_indices_say(seen: tuple[Trace, list[dict[str, Any]]]) -> None:
    recorded, buffers = seen
    for number in range(1, 7):
        indices = recorded.get(16, number, "minibatch")
        assert indices is not None
        assert len(indices) == (8 if number in (3, 6) else 12)
        flat = buffers[0]["advantages"].swapaxes(0, 1).reshape(-1)
        assert np.array_equal(recorded.get(16, number, "batch_advantage"), flat[indices])  # type: ignore[arg-type]
    for epoch in (1, 4):
        drawn = np.concatenate([recorded.get(16, epoch + i, "minibatch") for i in range(3)])  # type: ignore[misc]
        assert sorted(drawn) == list(range(32))


def test_the_new_log_prob_of_the_first_minibatch_is_the_old_one(seen: tuple[Trace, list[dict[str, Any]]]) -> None:
    new, old = (seen[0].get(16, 1, name) for name in ("new_log_prob", "old_log_prob"))

    np.testing.assert_allclose(new, old, rtol=1e-6)  # type: ignore[arg-type]
    assert not np.array_equal(seen[0].get(16, 2, "new_log_prob"), seen[0].get(16, 2, "old_log_prob"))  # type: ignore[arg-type]


def test_every_stage_of_a_fed_run_goes_on_with_the_others_arrays() -> None:
    kept = trace_run(PPO, CASE, 0, TracingMode.reference())
    other = trace_run(PPO, CASE, 1, TracingMode.fed(kept))  # the seed gives it other first weights

    right = {"observation", "env_action", "env_reward", "done", "episode_start", "minibatch", *BATCH.values()}
    right |= {"stored_observation", "stored_action", "stored_value", "stored_log_prob"}
    for place, array in kept.arrays.items():
        if place.quantity in right and place.step:
            assert np.array_equal(array, other.arrays[place]), place
    first = other.get(0, 0, "initial_parameters")  # its own are recorded before the other's are put in their place
    assert not np.array_equal(kept.get(0, 0, "initial_parameters"), first)  # type: ignore[arg-type]
    for name in ("new_value", "new_log_prob", "gradient", "parameters", "optimizer_state"):
        assert np.array_equal(kept.get(16, 2, name), other.get(16, 2, name)), name  # type: ignore[arg-type]


def test_a_fed_output_keeps_the_gradient_of_the_networks() -> None:
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    recorder = Recorder(TraceBuilder("x"), fed_from=trace({(0, 1, "value"): np.array([[7.0], [8.0]])}))

    result = record_network_output(recorder, "value", weight * 3)
    (result * torch.tensor([1.0, 10.0])).sum().backward()

    assert result.tolist() == [7, 8]
    assert weight.grad is not None
    assert weight.grad.tolist() == [3, 30]


def test_an_output_that_is_not_fed_is_the_same_object() -> None:
    result = torch.ones(2)

    assert record_network_output(Recorder(TraceBuilder("x")), "value", result) is result


def numbers(script: str) -> list[int]:
    """Return the numbers of minibatches; "b": one is drawn, "s": the optimiser steps, "e": the environments step."""
    recorder = Recorder(TraceBuilder("x"))
    counter = MinibatchCounter(recorder)
    found = []
    for event in script:
        if event == "b":
            found.append(counter.next())
        elif event == "s":
            recorder.end_minibatch()
        else:
            recorder.begin_step()
    return found


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("bsbsebsbs", [1, 2, 1, 2]),  # one after the other
        ("bbbsssebbb", [1, 2, 3, 1, 2, 3]),  # all at once
        ("bbsbsbs", [1, 2, 3, 4]),  # one ahead
        ("bsbbsbs", [1, 2, 2, 3]),  # no step with the second
        ("bssbss", [1, 3]),  # two steps with each
        ("bsebbs", [1, 1, 2]),  # a step with the second only, which cannot be known when it is drawn
    ],
)
def test_a_minibatch_has_the_number_of_its_optimiser_step(script: str, expected: list[int]) -> None:
    assert numbers(script) == expected
