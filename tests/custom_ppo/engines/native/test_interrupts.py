"""Interrupted updates and other threads leave the kernels' model as it is after the steps that were made."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from custom_ppo import CustomPPO
from custom_ppo.engines.native import self_check
from custom_ppo.engines.native.actor import NativeActor
from custom_ppo.engines.native.engine import NativeEngine
from custom_ppo.engines.native.library import reason_against_loading

pytestmark = pytest.mark.skipif(reason_against_loading() is not None, reason="the kernels are not available")


class Interrupted:
    """Kernels in whose epochs Ctrl-C is pressed: Python raises the error when the call returns."""

    def __init__(self, kernels: Any) -> None:
        self.kernels = kernels

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kernels, name)

    def learner_epoch(self, *arguments: Any) -> int:
        self.kernels.learner_epoch(*arguments)
        raise KeyboardInterrupt


def test_steps_before_an_interrupt_are_counted() -> None:
    model = CustomPPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=16, n_epochs=3, device="cpu", engine="native")
    model.learn(32)
    assert isinstance(model.agent.engine, NativeEngine)
    learner = model.agent.engine.learner(16)
    kernels = learner.kernels
    learner.kernels = Interrupted(kernels)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        model.learn(32)
    learner.kernels = kernels
    assert {state["step"].item() for state in model.policy.optimizer.state.values()} == {8.0}  # 3 epochs of 2, and 1


def test_random_numbers_of_another_thread_are_no_wrong_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "results", {})
    act, calls = NativeActor.act, []

    def disturbed(self: NativeActor, *arguments: Any) -> Any:
        calls.append(None)
        if len(calls) == 3:
            torch.rand(1)  # as if drawn between two calls by another thread
        return act(self, *arguments)

    monkeypatch.setattr(NativeActor, "act", disturbed)
    CustomPPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=16, device="cpu", engine="native").learn(32)
    assert all(self_check.results.values())
