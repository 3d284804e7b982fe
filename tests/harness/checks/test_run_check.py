from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from custom_ppo.gae import gae
from harness.crosscheck import (
    check_clipped_loss,
    check_entropy,
    check_gae,
    check_gradient,
    check_log_prob,
    check_value_loss,
)
from harness.errors import HarnessError
from tests.harness.checks.failures import failure

CHECKS: dict[str, Callable[..., Any]] = {
    "check_gae": check_gae,
    "check_clipped_loss": check_clipped_loss,
    "check_value_loss": check_value_loss,
    "check_gradient": check_gradient,
    "check_log_prob": lambda fn, **settings: check_log_prob(fn, "categorical", **settings),
    "check_entropy": lambda fn, **settings: check_entropy(fn, "categorical", **settings),
}


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tolerance": "exakt"}, """tolerance must be "rounding" or "exact", got 'exakt', did you mean exact?"""),
        ({"tolerance": 1e-6}, """tolerance must be "rounding" or "exact", got 1e-06"""),
    ],
)
def test_misuse_is_an_error_of_one_line(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError) as error:
        CHECKS[name](lambda *_, **__: None, **settings)
    assert str(error.value) == f"{name}: {message}"


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("seed", [-1, "0", 1.5])
def test_a_seed_that_is_none_is_an_error_of_one_line(name: str, seed: Any) -> None:
    with pytest.raises(HarnessError) as error:
        CHECKS[name](lambda *_, **__: None, seed=seed)
    assert str(error.value) == f"the seed of a check must be an integer of at least 0, got {seed!r}"


@pytest.mark.parametrize("name", CHECKS)
def test_what_is_not_a_function_is_an_error_of_one_line(name: str) -> None:
    with pytest.raises(HarnessError, match=rf"^{name}: expected a function, got 3; it is called as fn\(.*$") as error:
        CHECKS[name](3)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", CHECKS)
def test_nothing_is_drawn_from_the_global_generators(name: str) -> None:
    def draws(*arguments: Any, **settings: Any) -> None:
        torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002

    torch.manual_seed(0), np.random.seed(0), random.seed(0)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]  # noqa: NPY002

    failure(CHECKS[name], draws)
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]  # noqa: NPY002

    assert torch.equal(after[0], before[0])
    assert after[1:] == before[1:]


def test_a_seed_gives_the_same_cases_and_another_seed_others() -> None:
    def first(seed: int) -> float:
        seen: list[float] = []
        failure(check_gae, lambda rewards, *a, **k: seen.append(rewards.flat[0]), seed=seed)
        return seen[0]

    assert first(3) == first(3) != first(4)


def test_a_function_that_draws_or_keeps_a_state_is_named_and_not_shrunk() -> None:
    calls: list[int] = []

    def counting(rewards: Any, *arguments: Any, **settings: Any) -> Any:
        calls.append(1)
        return rewards + len(calls)

    failed = failure(check_gae, counting)

    assert failed.hint.startswith("a second call with the same input gives other results")
    assert failed.inputs["gamma"] == 0.9


def test_right_and_wrong_cases_are_listed() -> None:
    failed = failure(check_gae, lambda *a, **k: gae(*a, **{**k, "gamma": k["gamma"] or 0.5}))

    assert all(name.startswith("gamma 0, ") for name in failed.wrong)
    assert len(failed.wrong) == 2
    assert len(failed.wrong) + len(failed.right) == check_gae(gae).n_cases


def right(new: torch.Tensor, old: torch.Tensor, a: torch.Tensor, clip: float) -> torch.Tensor:
    ratio = torch.exp(new - old)
    return -torch.min(ratio * a, ratio.clip(1 - clip, 1 + clip) * a).mean()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_torchs_default_type_does_not_matter(dtype: torch.dtype) -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        check_clipped_loss(right)
    finally:
        torch.set_default_dtype(before)
