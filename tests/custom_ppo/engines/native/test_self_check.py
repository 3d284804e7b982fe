"""Kernels that are wrong by a rounding, or by more, are found out before they are used, and change no result."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from custom_ppo import CustomA2C, CustomPPO
from custom_ppo.engines.native import library, self_check
from custom_ppo.engines.native.engine import NativeEngine
from tests.custom_ppo.engines.native.compiled import compile_kernels, needs_compiler
from tests.custom_ppo.loops import learned_state

pytestmark = needs_compiler

FAULTS: dict[str, tuple[str, str]] = {
    "Adam rounds a product and a sum apart": (
        "fmaf(weight * x, x, average * decay)",
        "(weight * x * x + average * decay)",
    ),
    "Adam's second step averages otherwise": (
        "fabsf(weight) < 0.5f ? fmaf(weight, new - old, old)",
        "fabsf(weight) < 0.5f ? (old + weight * (new - old))",
    ),
    "sums have fewer accumulators": ("ROWS_AT_ONCE = 4", "ROWS_AT_ONCE = 2"),
    "the bias is added after the product": ("rows(x, layer->n_in), weight, 1)", "rows(x, layer->n_in), weight, 0)"),
    "the gradient at a clip's bound is lost": ("(0.5f + 0.5f * inside)", "(0.5f + 0.25f * inside)"),
    "advantages are divided by another deviation": ("(double)(n - 1)", "(double)n"),
}
"""Name of a fault in the update -> text of the sources, and what stands in its place."""


@pytest.fixture(autouse=True)
def _nothing_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "results", {})


@pytest.fixture
def use_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[tuple[str, str]], None]:
    """Return a function that compiles kernels with a fault, for use in the rest of a test."""
    if library.reason_against_loading() is not None:
        pytest.skip("the kernels are not available")

    def use(fault: tuple[str, str]) -> None:
        wrong = library.open_library(compile_kernels(tmp_path / "wrong.so", replace=fault))
        monkeypatch.setattr(library, "_outcome", lambda: wrong)

    return use


def trained(engine: Any, cls: type[CustomPPO] = CustomPPO, **kwargs: Any) -> CustomPPO:
    arguments: dict[str, Any] = {"n_steps": 48, "batch_size": 20, "n_epochs": 2, **kwargs}
    model = cls("MlpPolicy", "CartPole-v1", seed=0, device="cpu", engine=engine, **arguments)
    return model.learn(96)


@pytest.mark.parametrize("name", list(FAULTS))
def test_a_wrong_update_is_left_to_another_engine(name: str, use_kernels: Callable[..., None]) -> None:
    expected = trained("fused")
    use_kernels(FAULTS[name])
    with pytest.warns(UserWarning, match="do not give PyTorch's bits") as caught:
        model = trained("native")
    found = [warning for warning in caught if "PyTorch's bits" in str(warning.message)]
    assert len(found) == 1, "one warning, however many shapes are wrong"
    assert isinstance(model.agent.engine, NativeEngine)
    assert False in self_check.results.values()
    assert all(map(torch.equal, learned_state(model.agent), learned_state(expected.agent)))


def test_wrong_actions_are_left_to_another_engine(use_kernels: Callable[..., None]) -> None:
    expected = trained("fused")
    use_kernels(("p[j] / e[j] > p[best] / e[best]", "p[j] > p[best]"))
    with pytest.warns(UserWarning, match="acting in 1 states"):
        model = trained("native")
    assert [key[0] for key, agrees in self_check.results.items() if not agrees] == ["act"]
    assert all(map(torch.equal, learned_state(model.agent), learned_state(expected.agent)))


def test_right_kernels_are_used_without_a_warning(use_kernels: Callable[..., None]) -> None:
    expected = trained("fused")
    use_kernels(("/* ", "/*  "))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="the compiled kernels")
        model = trained("native")
    assert self_check.results
    assert all(self_check.results.values())
    assert all(map(torch.equal, learned_state(model.agent), learned_state(expected.agent)))


def test_a_comparison_leaves_no_trace_before_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    if library.reason_against_loading() is not None:
        pytest.skip("the kernels are not available")
    compared = trained("native")
    monkeypatch.setattr(self_check, "update_agrees", lambda *_: True)
    monkeypatch.setattr(self_check, "acting_agrees", lambda *_: True)
    plain = trained("native")
    assert all(map(torch.equal, learned_state(compared.agent), learned_state(plain.agent)))


def test_a2c_is_checked_with_its_own_optimiser(use_kernels: Callable[..., None]) -> None:
    use_kernels(("root[i] = square[i] = averaged_square(square[i], grad, decay, weight)", "root[i] = square[i] = grad"))
    with pytest.warns(UserWarning, match="do not give PyTorch's bits"):
        CustomA2C("MlpPolicy", "CartPole-v1", seed=0, device="cpu", engine="native").learn(10)
    assert False in self_check.results.values()
