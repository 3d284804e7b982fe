"""Run of a check: every case, then the smallest input of the first failure, and its probable cause."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from custom_ppo.sb3.randomness import preserved_randomness
from harness.checks.calls import SubjectError, call_subject
from harness.checks.case import Case, FunctionCheck, Inputs, Outputs
from harness.checks.check_results import CheckFailed, CheckReport, Finding, first_difference
from harness.checks.closeness import Distance, distance
from harness.checks.hints import Hint, probable_cause
from harness.checks.shrink import shrink
from harness.errors import HarnessError, did_you_mean

__all__ = ["Tolerance", "run_check"]

NOT_REPEATABLE = Hint(
    "a second call with the same input gives other results: the function draws random numbers, or keeps a state"
)

Tolerance = Literal["rounding", "exact"]


@dataclass(frozen=True)
class Judgement:
    """Comparison of the subject's results with SB3's for one input."""

    got: Outputs
    expected: Outputs
    magnitude: Outputs
    distances: Mapping[str, Distance]
    finding: Finding | None


def run_check(check: FunctionCheck, subject: Callable[..., Any], tolerance: Tolerance) -> CheckReport:
    """Return a report if all cases are equal; raise CheckFailed if one is not, HarnessError for wrong arguments.

    The state of the global random generators is restored afterwards.
    """
    if not callable(subject):
        raise HarnessError(f"{check.name}: expected a function, got {subject!r}; it is called as {check.calls}")
    if tolerance not in ("rounding", "exact"):
        raise HarnessError(
            f'{check.name}: tolerance must be "rounding" or "exact", got {tolerance!r}'
            f"{did_you_mean(str(tolerance), ('rounding', 'exact'))}"
        )
    exact = tolerance == "exact"
    # SB3's update needs gradients, even if the caller has switched them off.
    with preserved_randomness(), torch.enable_grad():
        judged = {case.name: judge(check, subject, case.inputs, exact=exact) for case in check.cases}
        if any(judgement.finding for judgement in judged.values()):
            raise _failure(check, subject, judged, exact=exact)
    return _report(check, judged)


def judge(check: FunctionCheck, subject: Callable[..., Any], inputs: Inputs, *, exact: bool) -> Judgement:
    """Compare the subject's results for one input with SB3's."""
    try:
        got = call_subject(check, subject, inputs)
    except SubjectError as error:
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else None
        return Judgement({}, {}, {}, {}, Finding(error.kind, f"the function {error}", cause))
    expected = check.expected(inputs, tuple(got))
    magnitude = check.magnitude(inputs, expected)
    for name, numbers in got.items():
        if numbers.shape != expected[name].shape:
            text = f"{name} has shape {list(numbers.shape)}, expected {list(expected[name].shape)}"
            return Judgement(got, expected, magnitude, {}, Finding("shape", text, wrong=frozenset({name})))
    distances = {name: distance(numbers, expected[name], magnitude[name]) for name, numbers in got.items()}
    return Judgement(got, expected, magnitude, distances, _finding(got, expected, distances, exact=exact))


def _finding(got: Outputs, expected: Outputs, distances: Mapping[str, Distance], *, exact: bool) -> Finding | None:
    wrong = {name: apart.wrong(exact=exact) for name, apart in distances.items()}
    names = [name for name, elements in wrong.items() if elements.any()]
    if not names:
        return None
    first = names[0]
    unreal = bool(np.isnan(got[first][wrong[first]]).any())
    text = first_difference(first, got[first], expected[first], wrong[first])
    return Finding("not a number" if unreal else "number", text, wrong=frozenset(names))


def _report(check: FunctionCheck, judged: Mapping[str, Judgement]) -> CheckReport:
    worst = max(judged, key=lambda name: max(float(apart.ulps.max()) for apart in judged[name].distances.values()))
    return CheckReport(
        name=check.name,
        n_cases=len(judged),
        compared=tuple(dict.fromkeys(name for judgement in judged.values() for name in judgement.got)),
        largest_difference=max(
            apart.largest for judgement in judged.values() for apart in judgement.distances.values()
        ),
        largest_ulps=max(float(apart.ulps.max()) for apart in judged[worst].distances.values()),
        largest_in=worst,
    )


def _failure(
    check: FunctionCheck, subject: Callable[..., Any], judged: Mapping[str, Judgement], *, exact: bool
) -> CheckFailed:
    wrong = [name for name, judgement in judged.items() if judgement.finding]
    case = next(case for case in check.cases if case.name == wrong[0])
    answers = {name: (found.got, found.expected, found.magnitude) for name, found in judged.items()}
    smallest, shown = case.inputs, judged[case.name]
    if _repeats_itself(shown.got, judge(check, subject, smallest, exact=exact).got):
        smallest, shown = _smallest(check, subject, case, shown, exact=exact)
        hint = probable_cause(check, answers, wrong)
    else:
        hint = NOT_REPEATABLE
    assert shown.finding is not None
    failed = CheckFailed(
        name=check.name,
        case=case.name,
        inputs=check.arrange(smallest),
        finding=shown.finding,
        got=shown.got,
        expected=shown.expected,
        hint=hint.text,
        wrong=wrong,
        right=[name for name in judged if name not in wrong],
        calls=check.calls,
        mistakes=hint.mistakes,
    )
    failed.__cause__ = shown.finding.cause
    return failed


def _smallest(
    check: FunctionCheck, subject: Callable[..., Any], case: Case, judgement: Judgement, *, exact: bool
) -> tuple[Inputs, Judgement]:
    """Return the smallest inputs with the same kind of fault, and their judgement."""
    finding = judgement.finding
    assert finding is not None

    def still_fails(inputs: Inputs) -> bool:
        found = judge(check, subject, inputs, exact=exact).finding
        if found is None or found.kind != finding.kind or type(found.cause) is not type(finding.cause):
            return False
        return bool(found.wrong & finding.wrong or not finding.wrong)

    smallest = shrink(case.inputs, check.arguments, still_fails)
    return smallest, judge(check, subject, smallest, exact=exact)


def _repeats_itself(got: Outputs, again: Outputs) -> bool:
    return got.keys() == again.keys() and all(np.array_equal(got[name], again[name], equal_nan=True) for name in got)
