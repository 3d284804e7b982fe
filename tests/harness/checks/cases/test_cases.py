from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from harness.checks.case import Case
from harness.checks.cases.action_distributions import distribution_cases
from harness.checks.cases.loss_minibatches import policy_cases, total_cases, value_cases
from harness.checks.cases.rollouts import gae_cases, timeout_cases
from harness.checks.distribution_checks import PARAMETERS

Cases = Callable[[int], Iterable[Case]]
ALL: dict[str, Cases] = {
    "gae": lambda seed: gae_cases(seed, one_env=False),
    "gae of one environment": lambda seed: gae_cases(seed, one_env=True),
    "time limits": lambda seed: timeout_cases(seed, one_env=False),
    "time limits of one environment": lambda seed: timeout_cases(seed, one_env=True),
    "policy": policy_cases,
    "values": lambda seed: value_cases(seed, clipping=True),
    "values without clipping": lambda seed: value_cases(seed, clipping=False),
    "total": total_cases,
    **{name: lambda seed, name=name: distribution_cases(name, seed) for name in PARAMETERS},
}


@pytest.mark.parametrize("name", ALL)
def test_every_case_has_a_name_of_its_own_and_numbers_that_a_seed_repeats(name: str) -> None:
    once, again, other = (list(ALL[name](seed)) for seed in (0, 0, 1))

    assert len({case.name for case in once}) == len(once) > 5
    assert [case.name for case in once] == [case.name for case in other]
    for case, same in zip(once, again, strict=True):
        for key, value in case.inputs.items():
            np.testing.assert_array_equal(value, same.inputs[key])
    assert any(not same_numbers(a, b) for a, b in zip(once, other, strict=True))


def same_numbers(one: Case, other: Case) -> bool:
    return all(np.array_equal(value, other.inputs[name]) for name, value in one.inputs.items())


@pytest.mark.parametrize("name", ALL)
def test_real_numbers_are_float32(name: str) -> None:
    for case in ALL[name](0):
        kinds = {value.dtype.name for value in case.inputs.values() if isinstance(value, np.ndarray)}
        assert kinds <= {"float32", "bool", "int64"}, case.name


def edges(cases: Iterable[Case], holds: Callable[[dict[str, Any]], bool]) -> int:
    return sum(holds(dict(case.inputs)) for case in cases)


def test_the_edges_of_advantages_are_there() -> None:
    cases = list(gae_cases(0, one_env=False))
    assert edges(cases, lambda i: i["gamma"] == 0) >= 2
    assert edges(cases, lambda i: i["gamma"] == 1) >= 2
    assert edges(cases, lambda i: i["gae_lambda"] == 0) >= 2
    assert edges(cases, lambda i: i["gae_lambda"] == 1) >= 2
    assert edges(cases, lambda i: len(i["rewards"]) == 1) >= 2
    assert edges(cases, lambda i: i["rewards"].shape[1] == 1) >= 5
    assert edges(cases, lambda i: bool(i["dones"].any())) >= 4
    assert edges(cases, lambda i: bool(i["episode_starts"][1:].any())) >= 5


def test_the_edges_of_time_limits_are_there() -> None:
    cases = list(timeout_cases(0, one_env=False))
    assert edges(cases, lambda i: bool((i["terminations"] & i["truncations"]).any())) >= 2
    assert edges(cases, lambda i: bool(i["truncations"][-1].any())) >= 2
    assert edges(cases, lambda i: bool(i["terminations"][-1].any())) >= 2


def test_the_edges_of_the_policy_are_there() -> None:
    cases = list(policy_cases(0))
    log_ratios = [case.inputs["log_prob"] - case.inputs["old_log_prob"] for case in cases]
    assert max(ratios.max() for ratios in log_ratios) > 88  # exp overflows
    assert min(ratios.min() for ratios in log_ratios) <= -20
    assert any(not ratios.any() for ratios in log_ratios)
    assert edges(cases, lambda i: i["clip_range"] == 0) == 1
    assert edges(cases, lambda i: len(i["advantages"]) == 1) >= 4
    assert edges(cases, lambda i: len(i["advantages"]) > 1 and np.ptp(i["advantages"]) == 0) >= 2


def test_an_action_is_one_of_its_distribution() -> None:
    for case in distribution_cases("categorical", 0):
        assert (case.inputs["actions"] < case.inputs["logits"].shape[1]).all()
    for case in distribution_cases("multi_categorical", 0):
        assert (case.inputs["actions"] < case.inputs["nvec"]).all()
        assert case.inputs["logits"].shape[1] == sum(case.inputs["nvec"])
    for case in distribution_cases("squashed_gaussian", 0):
        assert (np.abs(case.inputs["actions"]) <= 0.951).all()
