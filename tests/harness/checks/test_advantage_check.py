from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from custom_ppo.gae import gae
from harness.crosscheck import check_gae
from tests.harness.checks.failures import failure, size

Array = NDArray[Any]
Step = Callable[..., tuple[Any, Any]]


def loop(
    rewards: Array, values: Array, starts: Array, last_values: Array, dones: Array, *, gamma: float, gae_lambda: float
) -> tuple[Array, Array]:
    """Return GAE by the usual loop backwards in time, in float64."""
    advantages, following, carried = np.zeros(rewards.shape), last_values.astype(float), 0.0
    for t in reversed(range(len(rewards))):
        going_on = 1.0 - (starts[t + 1] if t + 1 < len(rewards) else dones)
        delta = rewards[t] + gamma * following * going_on - values[t]
        carried = delta + gamma * gae_lambda * going_on * carried
        advantages[t], following = carried, values[t].astype(float)
    return advantages, advantages + values


def test_custom_ppos_gae_is_equal_to_the_bit() -> None:
    report = check_gae(gae, tolerance="exact")

    assert report.bit_equal
    assert report.compared == ("advantages", "returns")
    assert str(report).startswith(
        f"check_gae: {report.n_cases} cases, advantages and returns equal to the bit (stable-"
    )


@pytest.mark.parametrize("seed", range(10))
def test_float64_is_equal_within_rounding_and_not_exactly(seed: int) -> None:
    report = check_gae(loop, seed=seed)

    assert 0 < report.largest_ulps < 3
    assert "equal within rounding" in str(report)
    assert "is" in failure(check_gae, loop, seed=seed, tolerance="exact").finding.text


def dones_after_each_step(rewards: Array, values: Array, dones: Array, gamma: float, lam: float) -> Array:
    """Return the advantages of values [T + 1, N] and dones [T, N]."""
    advantages, carried = np.zeros_like(rewards), np.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        delta = rewards[t] + gamma * values[t + 1] * (1 - dones[t]) - values[t]
        advantages[t] = carried = delta + gamma * lam * (1 - dones[t]) * carried
    return advantages


def test_the_adapter_of_the_docstring_works() -> None:
    def adapted(*arrays: Array, gamma: float, gae_lambda: float) -> Array:
        rewards, values, starts, last_values, dones = arrays
        return dones_after_each_step(
            rewards, np.vstack([values, last_values]), np.vstack([starts[1:], dones]), gamma, gae_lambda
        )

    assert check_gae(adapted).compared == ("advantages",)


@pytest.mark.parametrize("convert", [torch.from_numpy, np.ndarray.tolist], ids=["tensors", "lists"])
def test_tensors_and_lists_come_back(convert: Callable[[Array], Any]) -> None:
    def both(*arguments: Any, **settings: Any) -> tuple[Any, Any]:
        advantages, returns = gae(*arguments, **settings)
        return convert(advantages), convert(returns)

    assert check_gae(both, tolerance="exact").bit_equal
    assert check_gae(lambda *a, **k: list(both(*a, **k)), tolerance="exact").compared == ("advantages", "returns")
    assert check_gae(lambda *a, **k: both(*a, **k)[0], tolerance="exact").compared == ("advantages",)


def of_one(
    rewards: Array, values: Array, starts: Array, last: float, done: bool, gamma: float, gae_lambda: float
) -> list[float]:
    """Return the advantages of one environment, as Python floats."""
    advantages: list[float] = []
    carried, following, ends = 0.0, last, done
    for t in reversed(range(len(rewards))):
        delta = rewards[t] + gamma * following * (not ends) - values[t]
        carried = delta + gamma * gae_lambda * (not ends) * carried
        following, ends = values[t], bool(starts[t])
        advantages.insert(0, carried)
    return advantages


def test_a_function_of_one_environment_gets_arrays_without_the_axis() -> None:
    assert check_gae(of_one, one_env=True).compared == ("advantages",)

    failed = failure(check_gae, lambda *a, **k: of_one(*a[:3], 0.0, a[4], **k), one_env=True)
    assert "the last value is taken as zero" in failed.hint
    assert failed.inputs["rewards"].shape == (1,)
    assert failed.inputs["last_values"] == 1.0
    assert "fn(rewards, values, episode_starts, last_value, done," in failed.calls


def gymnasium(
    rewards: Array,
    values: Array,
    next_values: Array,
    terminations: Array,
    truncations: Array,
    *,
    gamma: float,
    gae_lambda: float,
) -> tuple[Array, Array]:
    advantages, carried = np.zeros_like(rewards), np.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        delta = rewards[t] + gamma * next_values[t] * ~terminations[t] - values[t]
        advantages[t] = carried = delta + gamma * gae_lambda * ~(terminations[t] | truncations[t]) * carried
    return advantages, advantages + values


@pytest.mark.parametrize("one_env", [False, True])
def test_with_timeouts_sb3s_collected_rollouts_are_expected(one_env: bool) -> None:
    def columns(*arrays: Any, **settings: Any) -> Any:
        if not one_env:
            return gymnasium(*arrays, **settings)
        advantages, returns = gymnasium(*(array[:, None] for array in arrays), **settings)
        return advantages[:, 0], returns[:, 0]

    assert check_gae(columns, timeouts=True, one_env=one_env).largest_ulps < 3


@pytest.mark.parametrize(
    ("wrong", "hint", "case"),
    [
        (
            lambda r, v, n, ends, cuts, **k: gymnasium(r, v, n, ends | cuts, cuts, **k),
            "a time limit counts as a termination",
            "a time limit in the middle",
        ),
        (
            lambda r, v, n, ends, cuts, **k: gymnasium(r, v, n, ends & False, ends | cuts, **k),
            "terminations are bootstrapped as well",
            "a termination in the middle",
        ),
        (
            lambda r, v, n, ends, cuts, **k: gymnasium(r, v, n, ends, cuts & False, **k),
            "the recursion runs across time limits",
            "a time limit in the middle",
        ),
        (
            lambda r, v, n, ends, cuts, **k: gymnasium(r, v, n, ends & ~cuts, cuts, **k),
            "a step that is terminated and truncated is bootstrapped",
            "termination and time limit in the same step",
        ),
        (
            lambda r, v, n, ends, cuts, **k: gymnasium(r, v, n, ends & False, cuts & False, **k),
            "no mask at all",
            "a termination in the middle",
        ),
    ],
)
def test_a_wrong_treatment_of_time_limits_is_named(wrong: Step, hint: str, case: str) -> None:
    failed = failure(check_gae, wrong, timeouts=True)

    assert failed.hint.startswith(hint)
    assert failed.case == case
    assert size(failed) <= 10


def changed(**changes: Callable[[dict[str, Any]], Any]) -> Step:
    """Return the loop above with changed arguments."""

    def wrong(rewards: Array, values: Array, starts: Array, last_values: Array, dones: Array, **settings: float) -> Any:
        given: dict[str, Any] = {
            "rewards": rewards,
            "values": values,
            "starts": starts,
            "last_values": last_values,
            "dones": dones,
            **settings,
        }
        return loop(**{**given, **{name: change(given) for name, change in changes.items()}})

    return wrong


def after(change: Callable[..., Any]) -> Step:
    """Return change(advantages, returns, values) after the loop above."""
    return lambda *arguments, **settings: change(*loop(*arguments, **settings), arguments[1])


def two_masks(
    *arrays: Array,
    gamma: float,
    gae_lambda: float,
    in_delta: bool = True,
    in_recursion: bool = True,
    decay: float | None = None,
) -> tuple[Array, Array]:
    """Return GAE by the loop above, with a choice of masks and decay."""
    rewards, values, starts, last, dones = arrays
    advantages, carried = np.zeros(rewards.shape), 0.0
    for t in reversed(range(len(rewards))):
        ends = starts[t + 1] if t + 1 < len(rewards) else dones
        following = values[t + 1] if t + 1 < len(rewards) else last
        delta = rewards[t] + gamma * following * (1.0 - ends * in_delta) - values[t]
        carried = delta + (gamma * gae_lambda if decay is None else decay) * (1.0 - ends * in_recursion) * carried
        advantages[t] = carried
    return advantages, advantages + values


PLANTED: dict[str, Step] = {
    "no done mask": changed(starts=lambda g: 0 * g["starts"], dones=lambda g: g["dones"] & False),
    "episode_starts are ignored": changed(starts=lambda g: 0 * g["starts"]),
    "`dones`, the flag after the last step, is ignored": changed(dones=lambda g: g["dones"] & False),
    "the mask is one step early: ": changed(
        starts=lambda g: np.vstack([g["starts"][:1], g["starts"][:-1]]), dones=lambda g: g["starts"][-1]
    ),
    "the recursion is not masked": lambda *a, **k: two_masks(*a, **k, in_recursion=False),
    "delta is not masked": lambda *a, **k: two_masks(*a, **k, in_delta=False),
    "gamma is missing in the recursion": lambda *a, **k: two_masks(*a, **k, decay=k["gae_lambda"]),
    "lambda is missing in the recursion": lambda *a, **k: two_masks(*a, **k, decay=k["gamma"]),
    "the last value is taken as zero": changed(last_values=lambda g: 0 * g["last_values"]),
    "the last step is bootstrapped from its own value": changed(last_values=lambda g: g["values"][-1]),
    "gamma and lambda are exchanged": changed(gamma=lambda g: g["gae_lambda"], gae_lambda=lambda g: g["gamma"]),
    "gamma is never applied": changed(gamma=lambda g: 1.0),
    "lambda is missing in the recursion, as if it were 1": changed(gae_lambda=lambda g: 1.0),
    "the recursion is missing, as if lambda were 0": changed(gae_lambda=lambda g: 0.0),
    "returns lack + V": after(lambda advantages, returns, values: (advantages, advantages)),
    "returns have - V": after(lambda advantages, returns, values: (advantages, advantages - values)),
    "advantages and returns are in the wrong order": after(lambda advantages, returns, values: (returns, advantages)),
    "the returned advantages are normalised; SB3": after(
        lambda advantages, returns, values: ((advantages - advantages.mean()) / (advantages.std() + 1e-8), returns)
    ),
    "returns are Monte-Carlo (lambda 1)": lambda *a, **k: (
        loop(*a, **k)[0],
        loop(*a, **{**k, "gae_lambda": 1.0})[1],
    ),
    "returns are one-step targets": lambda *a, **k: (loop(*a, **k)[0], loop(*a, **{**k, "gae_lambda": 0.0})[1]),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_wrong_function_is_caught_and_named(name: str) -> None:
    failed = failure(check_gae, PLANTED[name])

    assert failed.hint.startswith(name)
    assert failed.hint.endswith("cases)")
    assert size(failed) <= 8  # at most two steps of one environment


def test_a_factor_that_is_no_known_mistake_is_stated() -> None:
    failed = failure(check_gae, lambda *a, **k: 0.3 * loop(*a, **k)[0])

    assert failed.hint == "advantages everywhere 0.3 times what was expected"


def test_two_mistakes_in_two_results_get_a_name_each() -> None:
    def wrong(*arguments: Any, **settings: Any) -> tuple[Array, Array]:
        return PLANTED["delta is not masked"](*arguments, **settings)[0], loop(*arguments, **settings)[0]

    hint = failure(check_gae, wrong).hint
    assert "advantages: delta is not masked" in hint
    assert "returns: returns lack + V" in hint


def test_the_smallest_input_is_the_one_that_a_person_would_give() -> None:
    failed = failure(check_gae, changed(starts=lambda g: 0 * g["starts"]))

    assert str(failed).splitlines()[:13] == [
        'check_gae: 17 of 26 cases wrong, the first is "an episode ends in the middle"',
        "  smallest input that shows it:",
        "    rewards        = [[0], [0]]  # [2, 1]",
        "    values         = [[0], [0]]  # [2, 1]",
        "    episode_starts = [[0], [1]]  # [2, 1]",
        "    last_values    = [1]  # [1]",
        "    dones          = [False]  # [1]",
        "    gamma          = 1",
        "    gae_lambda     = 1",
        "  advantages[0, 0] is 1, expected 0",
        "    advantages, got      = [[1], [1]]",
        "    advantages, expected = [[0], [1]]",
        "    returns, got      = [[1], [1]]",
    ]


def test_the_shown_input_fails_when_it_is_tried_by_hand() -> None:
    wrong = changed(last_values=lambda g: 0 * g["last_values"])
    failed = failure(check_gae, wrong)

    settings = {name: failed.inputs[name] for name in ("gamma", "gae_lambda")}
    arrays = [value for name, value in failed.inputs.items() if name not in settings]
    advantages, _ = wrong(*arrays, **settings)
    np.testing.assert_array_equal(advantages, failed.got["advantages"])
    np.testing.assert_array_equal(gae(*arrays, **settings)[0], failed.expected["advantages"])
    assert not np.array_equal(advantages, gae(*arrays, **settings)[0])
