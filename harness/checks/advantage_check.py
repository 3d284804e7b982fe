"""`check_gae`: advantages and returns against SB3's rollout buffer, and against its collection of rollouts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from custom_ppo.gae import gae
from harness.checks import sb3_reference as sb3
from harness.checks.calls import as_array
from harness.checks.case import (
    REAL,
    Argument,
    Array,
    FunctionCheck,
    Inputs,
    KnownMistake,
    Outputs,
    UnusableError,
)
from harness.checks.cases.rollouts import gae_cases, timeout_cases
from harness.checks.check_results import CheckReport
from harness.checks.known_mistakes import advantage_mistakes, timeout_mistakes
from harness.checks.run_check import Tolerance, run_check

__all__ = ["check_gae", "timeout_check"]

REAL_T = replace(REAL, axes=("T", "N"))
REAL_N = replace(REAL, axes=("N",))
FLAG_T = Argument(axes=("T", "N"), simpler=(False,))
FLAG_N = Argument(axes=("N",), simpler=(False,))
SHARE = Argument(simpler=(1.0, 0.5, 0.0))

ARGUMENTS = {
    "rewards": REAL_T,
    "values": REAL_T,
    "episode_starts": FLAG_T,
    "last_values": REAL_N,
    "dones": FLAG_N,
    "gamma": SHARE,
    "gae_lambda": SHARE,
}
TIMEOUT_ARGUMENTS = {
    "rewards": REAL_T,
    "values": REAL_T,
    "last_values": REAL_N,
    "terminal_values": REAL_T,
    "terminations": FLAG_T,
    "truncations": FLAG_T,
    "gamma": SHARE,
    "gae_lambda": SHARE,
}
KEYWORDS = frozenset({"gamma", "gae_lambda"})
CALLS = "fn(rewards, values, episode_starts, last_values, dones, gamma=..., gae_lambda=...) -> (advantages, returns)"
TIMEOUT_CALLS = (
    "fn(rewards, values, next_values, terminations, truncations, gamma=..., gae_lambda=...) -> (advantages, returns)"
)


def check_gae(
    fn: Callable[..., Any],
    *,
    timeouts: bool = False,
    one_env: bool = False,
    tolerance: Tolerance = "rounding",
    seed: int = 0,
) -> CheckReport:
    """Compare a function for advantages (GAE) with SB3, on edge cases and random ones.

        fn(rewards, values, episode_starts, last_values, dones, gamma=..., gae_lambda=...) -> (advantages, returns)

    rewards, values: float32 [T, N], T steps of N environments; V of the states in which the agent acted.
    episode_starts: float32 [T, N], 1 where that state is the first of an episode. Row 0 does not matter.
    last_values, dones: [N], the value and done flag (bool) of the state after the last step, in place of row T.
    Time limits are not arguments: SB3 has already added gamma * V(terminal state) to the reward of a truncated step.

    timeouts=True checks a function that treats time limits itself, with Gymnasium's flags:

        fn(rewards, values, next_values, terminations, truncations, gamma=..., gae_lambda=...) -> (advantages, returns)

    next_values: [T, N], V of the state that each step led to, before any reset: V(terminal state) where an episode
    ended or was cut. terminations, truncations: bool [T, N]; where both are true the step is a termination.
    The expected results are those that SB3 collects from environments with these steps.

    one_env=True passes arrays [T] without the axis N, and a number in place of each array [N].
    Arguments are NumPy arrays; results may be lists, arrays or tensors. A function may return the advantages alone.
    A function with other arguments is adapted in a few lines, for instance one that takes the dones of each step:

        check_gae(lambda rewards, values, starts, last_values, dones, gamma, gae_lambda:
                  mine(rewards, np.vstack([values, last_values]), np.vstack([starts[1:], dones]), gamma, gae_lambda))

    tolerance: "rounding" accepts float64 and other orders of summation; "exact" accepts the same float32 bits only.
    seed: seed of the random cases.
    Returns a report that can be printed; raises CheckFailed (an AssertionError) with the smallest input that shows
    the mistake, and HarnessError if `fn` is not a function.
    """
    check = timeout_check(seed, one_env) if timeouts else _plain(seed, one_env)
    return run_check(_of_one_env(check) if one_env else check, fn, tolerance)


def _plain(seed: int, one_env: bool) -> FunctionCheck:
    return FunctionCheck(
        name="check_gae",
        calls=CALLS,
        arguments=ARGUMENTS,
        cases=tuple(gae_cases(seed, one_env)),
        expected=lambda inputs, names: _named(sb3.advantages_and_returns(**inputs)),
        read=_read,
        magnitude=_magnitude,
        mistakes=advantage_mistakes(),
        keywords=KEYWORDS,
    )


def timeout_check(seed: int, one_env: bool) -> FunctionCheck:
    """Return the check of a function for advantages that distinguishes terminations from truncations."""
    return FunctionCheck(
        name="check_gae",
        calls=TIMEOUT_CALLS,
        arguments=TIMEOUT_ARGUMENTS,
        cases=tuple(timeout_cases(seed, one_env)),
        expected=lambda inputs, names: _named(sb3.advantages_with_timeouts(**inputs)),
        read=_read,
        magnitude=_timeout_magnitude,
        mistakes=timeout_mistakes(),
        arrange=_in_gymnasiums_terms,
        keywords=KEYWORDS,
    )


def _in_gymnasiums_terms(inputs: Inputs) -> Inputs:
    return {
        "rewards": inputs["rewards"],
        "values": inputs["values"],
        "next_values": _next_values(**inputs),
        "terminations": inputs["terminations"],
        "truncations": inputs["truncations"],
        "gamma": inputs["gamma"],
        "gae_lambda": inputs["gae_lambda"],
    }


def _next_values(
    values: Array, last_values: Array, terminal_values: Array, terminations: Array, truncations: Array, **_: Any
) -> Array:
    """Return V of the state that each step led to, before any reset, [T, N]."""
    return np.where(terminations | truncations, terminal_values, np.vstack([values[1:], last_values]))


def _named(results: Sequence[Array]) -> dict[str, Array]:
    return dict(zip(("advantages", "returns"), results, strict=True))


def _read(result: Any, inputs: Inputs, given: Mapping[str, Any]) -> Outputs:
    """Return advantages and returns; a list of T rows is the advantages alone."""
    steps = given["rewards"].shape
    parts: Sequence[Any] = (result,)
    if isinstance(result, tuple) or (isinstance(result, list) and not _has_shape(result, steps)):
        parts = result
        if len(parts) != 2:
            raise UnusableError(f"returned {len(parts)} results, expected (advantages, returns) or advantages")
    return {name: as_array(part, name) for name, part in zip(("advantages", "returns"), parts, strict=False)}


def _has_shape(rows: list[Any], shape: tuple[int, ...]) -> bool:
    return len(rows) == shape[0] and np.shape(rows[0]) == shape[1:]


def _of_one_env(check: FunctionCheck) -> FunctionCheck:
    """Return the check for functions of one environment: without the axis N."""

    def squeezed(outputs: Outputs) -> Outputs:
        return {name: array[:, 0] for name, array in outputs.items()}

    def without_axis(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        return value[:, 0] if value.ndim == 2 else value[0].item()

    def of_one(mistake: KnownMistake) -> KnownMistake:
        return replace(mistake, outputs=lambda inputs: squeezed(mistake.outputs(inputs)))

    return replace(
        check,
        calls=check.calls.replace("last_values, dones", "last_value, done"),
        expected=lambda inputs, names: squeezed(check.expected(inputs, names)),
        magnitude=lambda inputs, expected: squeezed(
            check.magnitude(inputs, {name: array[:, None] for name, array in expected.items()})
        ),
        mistakes=[of_one(mistake) for mistake in check.mistakes],
        arrange=lambda inputs: {name: without_axis(value) for name, value in check.arrange(inputs).items()},
    )


def _magnitude(inputs: Inputs, expected: Outputs) -> Outputs:
    """Return the size of the summands: the same sum with every term positive."""
    return _sum_of_sizes(
        np.abs(inputs["rewards"]), inputs, np.vstack([inputs["values"][1:], inputs["last_values"]]), expected
    )


def _timeout_magnitude(inputs: Inputs, expected: Outputs) -> Outputs:
    starts = (inputs["terminations"] | inputs["truncations"]).astype(np.float32)
    ends = {"episode_starts": np.vstack([np.zeros_like(starts[:1]), starts[:-1]]), "dones": starts[-1]}
    return _sum_of_sizes(np.abs(inputs["rewards"]), {**inputs, **ends}, _next_values(**inputs), expected)


def _sum_of_sizes(rewards: Array, inputs: Inputs, following: Array, expected: Outputs) -> Outputs:
    values = np.abs(inputs["values"])
    sizes, _ = gae(
        rewards + np.abs(following) + values,
        np.zeros_like(values),
        inputs["episode_starts"],
        np.zeros_like(inputs["last_values"]),
        inputs["dones"],
        gamma=inputs["gamma"],
        gae_lambda=inputs["gae_lambda"],
    )
    return {"advantages": sizes, "returns": sizes + values}
