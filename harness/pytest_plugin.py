"""Decorators that turn a test function of your own into one named test for each check of a PPO.

    from harness.pytest_plugin import parametrize_with_function_checks, parametrize_with_ppo_checks

    @parametrize_with_ppo_checks("my_package.agents:MyPPO", seeds=(0, 1))
    def test_my_ppo(check):
        check()

    @parametrize_with_function_checks(gae=my_gae, clipped_loss=my_loss)
    def test_my_functions(check):
        check()

A failure carries the text of the cross-check or of the function check. Neither torch nor Stable-Baselines3 is imported
before a check runs, so that collecting the tests stays fast. The shape is that of scikit-learn's
`parametrize_with_checks`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from harness.crosscheck.profiles import Profile, named_profile
from harness.errors import HarnessError, did_you_mean

if TYPE_CHECKING:
    from harness.checks import CheckReport
    from harness.crosscheck.reporting.results import Crosscheck

__all__ = [
    "CrosscheckFailed",
    "NamedCheck",
    "PPOCheck",
    "parametrize_with_function_checks",
    "parametrize_with_ppo_checks",
]

WIDTH = 120
"""Width of a failure's text, in characters."""

BY_DISTRIBUTION = ("log_prob", "entropy")
"""Checks of functions that belong to a distribution."""

CHECKS = ("gae", "clipped_loss", "value_loss", *BY_DISTRIBUTION, "gradient")


class CrosscheckFailed(AssertionError):  # noqa: N818  it reads well as a test's outcome, as CheckFailed does
    """Failure of a subject that differs from its reference; its text is the cross-check's, and `result` its data."""

    def __init__(self, text: str, result: Crosscheck) -> None:
        super().__init__(text)
        self.result = result


@dataclass(frozen=True, repr=False)
class PPOCheck:
    """Cross-check of one run of a subject; call it to run it."""

    subject: str | type[Any]
    reference: str
    profile: str | Profile
    env: str
    """Environment of the profile, or another one, which gets the settings of the profile's first case."""
    seed: int
    allow_rounding: bool
    options: Mapping[str, Any]
    """Further arguments of `harness.crosscheck.crosscheck`."""

    @property
    def name(self) -> str:
        """Name of the test: environment and seed."""
        return f"{self.env}-seed{self.seed}"

    def __repr__(self) -> str:
        return f"<{self.name}>"  # pytest prints it above every failure

    def __call__(self) -> Crosscheck:
        """Train the subject and its reference; return the result, or raise CrosscheckFailed if they differ."""
        __tracebackhide__ = True
        from harness.crosscheck import crosscheck

        result = crosscheck(
            self.subject, self.reference, profile=self.profile, envs=(self.env,), seeds=(self.seed,), **self.options
        )
        if not (result.identical or (self.allow_rounding and result.verdict == "rounding")):
            raise CrosscheckFailed(_text(result), result)
        return result


@dataclass(frozen=True, repr=False)
class NamedCheck:
    """One check of a function: call it to run it."""

    name: str
    """Name of the test: the check, and the distribution or term of the function, as in "log_prob-categorical"."""
    function: str | Callable[..., Any]
    arguments: tuple[str, ...]
    """Distribution or term that is passed to the check."""
    options: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def __call__(self) -> CheckReport:
        """Run all cases of the check; return its report, or raise CheckFailed if a result is wrong."""
        __tracebackhide__ = True
        from harness import checks

        check = getattr(checks, f"check_{self.name.partition('-')[0]}")
        report: CheckReport = check(_loaded(self.function), *self.arguments, **self.options)
        return report


class _Check(Protocol):
    @property
    def name(self) -> str: ...


def parametrize_with_ppo_checks(
    subject: str | type[Any],
    *,
    reference: str = "ppo",
    profile: str | Profile = "stress",
    envs: Sequence[str] = (),
    seeds: Iterable[int] = (0, 1),
    allow_rounding: bool = False,
    updates: int | None = None,
    copy_weights: bool = False,
    explain: bool = False,
    known_failures: Mapping[str, str] | None = None,
) -> pytest.MarkDecorator:
    """Parametrize a test with one `check` for each environment of a profile and each seed.

    subject: a class that trains like SB3's PPO, or its name, "package.module:Class", imported when a check runs.
    reference, profile, envs, updates, copy_weights, explain: see `harness.crosscheck.crosscheck`.
    seeds: two by default, which keeps a test run short; mistakes that depend on chance need more.
    allow_rounding: accept what another order of the same operations can do.
    known_failures: name of a test, or a shell pattern for several ("Pendulum20-*"), to the reason why it fails. Such a
        test is expected to fail with a difference (xfail): when it passes, or cannot run at all, pytest reports it.

    Names of tests are like "TightBounds-seed0". Raises HarnessError for an unknown profile, for a known failure that
    matches no test, and if there are no seeds.
    """
    known = named_profile(profile) if isinstance(profile, str) else profile
    chosen_envs = tuple(envs) or tuple(case.env for case in known.cases)
    chosen_seeds = tuple(seeds)
    options = {"updates": updates, "copy_weights": copy_weights, "explain": explain}
    checks = [
        PPOCheck(subject, reference, profile, env, seed, allow_rounding, options)
        for env in chosen_envs
        for seed in chosen_seeds
    ]
    return _parametrized(checks, known_failures or {})


def parametrize_with_function_checks(
    *,
    gae: str | Callable[..., Any] | None = None,
    clipped_loss: str | Callable[..., Any] | None = None,
    value_loss: str | Callable[..., Any] | None = None,
    log_prob: Mapping[str, str | Callable[..., Any]] | None = None,
    entropy: Mapping[str, str | Callable[..., Any]] | None = None,
    gradient: Mapping[str, str | Callable[..., Any]] | str | Callable[..., Any] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    known_failures: Mapping[str, str] | None = None,
) -> pytest.MarkDecorator:
    """Parametrize a test with one `check` for each function that is given.

    gae, clipped_loss, value_loss: a function as `check_gae`, `check_clipped_loss`, `check_value_loss` call it, or its
        name, "package.module:function", imported when the check runs.
    log_prob, entropy: distribution to function, as in {"diag_gaussian": my_log_prob}.
    gradient: the whole loss, or term to function, as in {"policy": my_loss}; terms of a distribution are written with
        it: "log_prob-categorical".
    options: name of a check to its keyword arguments, as in {"gae": {"one_env": True}}.
    known_failures: name of a test to the reason why it fails, as in `parametrize_with_ppo_checks`.

    Names of tests are like "gae", "log_prob-diag_gaussian" or "gradient-policy". Raises HarnessError for an unknown
    name, and if no function is given.
    """
    given: dict[str, Any] = {
        "gae": gae,
        "clipped_loss": clipped_loss,
        "value_loss": value_loss,
        "log_prob": log_prob,
        "entropy": entropy,
        "gradient": gradient,
    }
    for name in options or {}:
        if given.get(name) is None:
            among = [check for check in CHECKS if given[check] is not None]
            raise HarnessError(f"options for {name!r}, but there is no such check{did_you_mean(name, among)}")
    checks = []
    for name, functions in given.items():
        if functions is None:
            continue
        if name in BY_DISTRIBUTION and not isinstance(functions, Mapping):
            raise HarnessError(f'{name} needs a distribution for the function: {name}={{"categorical": ...}}')
        by_part = functions if isinstance(functions, Mapping) else {"": functions}
        for part, function in by_part.items():
            parts = (name, *filter(None, part.split("-")))
            checks.append(NamedCheck("-".join(parts), function, parts[1:], (options or {}).get(name, {})))
    return _parametrized(checks, known_failures or {})


def _parametrized(checks: Sequence[_Check], known_failures: Mapping[str, str]) -> pytest.MarkDecorator:
    if not checks:
        raise HarnessError("nothing to check: no test would be made")
    names = [check.name for check in checks]
    for pattern in known_failures:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise HarnessError(
                f"known failure {pattern!r} matches no test{did_you_mean(pattern, names)} "
                f"(there are: {', '.join(names)})"
            )
    return pytest.mark.parametrize(
        "check",
        [pytest.param(check, id=check.name, marks=_marks(check.name, known_failures)) for check in checks],
    )


def _marks(name: str, known_failures: Mapping[str, str]) -> tuple[pytest.MarkDecorator, ...]:
    # Only a wrong result is excused: a subject that cannot be imported is a failure of another kind.
    return tuple(
        pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError)
        for pattern, reason in known_failures.items()
        if fnmatchcase(name, pattern)
    )


def _text(result: Crosscheck) -> str:
    """Return the cross-check's text; its first line names the first divergence, for pytest's summary."""
    from rich.console import Console

    from harness.catalogue import CATALOGUE
    from harness.crosscheck.reporting.rendering import as_text

    (run,) = result.runs
    found = run.first_beyond_rounding or run.first
    heading = result.verdict if found is None else f"first divergence in {found.quantity}, {found.where}"
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None)
    with console.capture() as capture:
        console.print(as_text(result, {deviation.id: deviation for deviation in CATALOGUE}), highlight=False)
    return f"{heading}\n" + "\n".join(line.rstrip() for line in capture.get().splitlines())


def _loaded(function: str | Callable[..., Any]) -> Any:
    if not isinstance(function, str):
        return function
    from harness.training.algorithms import import_target

    if ":" not in function:
        raise HarnessError(f"function {function!r} is not known: write package.module:function")
    return import_target(function)
