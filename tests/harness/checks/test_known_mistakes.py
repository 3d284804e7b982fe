"""Every known mistake, passed to its check as a function, is caught, and named as itself and as no other one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.catalogue import MISTAKES
from harness.catalogue import formulas as catalogue
from harness.checks.advantage_check import timeout_check
from harness.checks.distribution_checks import PARAMETERS, WITH_ENTROPY
from harness.checks.hints import probable_cause
from harness.checks.known_mistakes import (
    advantage_mistakes,
    entropy_gradient_mistakes,
    log_prob_gradient_mistakes,
    normalizing_policy_mistakes,
    policy_gradient_mistakes,
    policy_mistakes,
    timeout_mistakes,
    total_gradient_mistakes,
    value_gradient_mistakes,
    value_mistakes,
)
from harness.crosscheck import (
    check_clipped_loss,
    check_entropy,
    check_gae,
    check_gradient,
    check_log_prob,
    check_value_loss,
)
from tests.harness.checks.failures import failure

TENSORS = ("log_prob", "old_log_prob", "advantages", "values", "old_values", "returns", "entropy")
BY_ID = {mistake.id: mistake for mistake in MISTAKES}


def policy(id: str) -> Callable[..., Any]:
    return lambda *arguments: catalogue.policy_loss(BY_ID[id], *arguments)[1]


def value(id: str) -> Callable[..., Any]:
    return lambda *arguments: catalogue.value_loss(BY_ID[id], *arguments)


def by_name(loss: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *tensors, **settings: loss(**dict(zip(TENSORS, tensors, strict=True)), **settings)


def known() -> Iterator[Any]:
    """Yield (check, function, further arguments of the check, id, hint) for every mistake and every check of it."""

    def entry(one: Any, check: Callable[..., Any], function: Callable[..., Any], *arguments: str) -> Any:
        return pytest.param(
            check, function, arguments, one.id, one.hint, id="-".join((check.__name__, *arguments, one.id))
        )

    for one in advantage_mistakes():
        yield entry(one, check_gae, catalogue.advantage_formula(BY_ID[one.id]))
    for one in policy_mistakes():
        yield entry(one, check_clipped_loss, policy(one.id))
    for one in value_mistakes(clipping=True):
        yield entry(one, check_value_loss, value(one.id))
    for name in PARAMETERS:
        for one in log_prob_gradient_mistakes(name):
            formula = catalogue.distribution_formula(BY_ID[one.id], "log_prob", name)
            if formula is not None:
                yield entry(one, check_log_prob, formula, name)
    for name in WITH_ENTROPY:
        for one in entropy_gradient_mistakes(name):
            formula = catalogue.distribution_formula(BY_ID[one.id], "entropy", name)
            if formula is not None:
                yield entry(one, check_entropy, formula, name)
    for one in total_gradient_mistakes(normalize_advantage=True):
        if not one.hint.startswith(("policy loss: ", "value loss: ")):  # those are the ones above
            yield entry(one, check_gradient, by_name(one.loss))


@pytest.mark.filterwarnings("ignore:std")
@pytest.mark.parametrize(("check", "function", "arguments", "id", "hint"), list(known()))
def test_it_is_caught_and_named(
    check: Callable[..., Any], function: Callable[..., Any], arguments: tuple[str, ...], id: str, hint: str
) -> None:
    failed = failure(check, function, *arguments)
    assert failed.hint.splitlines()[0] == hint
    assert failed.hint.endswith("cases)")
    assert list(failed.mistakes) == [id]


@pytest.mark.parametrize("one", timeout_mistakes(), ids=lambda one: one.id)
def test_a_wrong_treatment_of_time_limits_is_named(one: Any) -> None:
    # The values are taken from the mistake itself: V of a state after a reset is not an argument of the function.
    check = timeout_check(seed=0, one_env=False)
    judged = {}
    for case in check.cases:
        expected = check.expected(case.inputs, ())
        judged[case.name] = (one.outputs(case.inputs), expected, check.magnitude(case.inputs, expected))
    hint = probable_cause(check, judged, list(judged))
    assert hint.text.splitlines()[0] == one.hint
    assert hint.mistakes == (one.id,)


def test_every_mistake_of_a_check_is_in_the_catalogue_once() -> None:
    assert len(BY_ID) == len(MISTAKES)
    for name, mistakes in {
        "advantages": advantage_mistakes(),
        "time limits": timeout_mistakes(),
        "policy": policy_mistakes(),
        "policy that normalises": normalizing_policy_mistakes(),
        "policy gradients": policy_gradient_mistakes(),
        "values": value_mistakes(clipping=True),
        "value gradients": value_gradient_mistakes(),
        "total": total_gradient_mistakes(normalize_advantage=True),
        **{f"log_prob {name}": log_prob_gradient_mistakes(name) for name in PARAMETERS},
        **{f"entropy {name}": entropy_gradient_mistakes(name) for name in WITH_ENTROPY},
    }.items():
        ids = [mistake.id for mistake in mistakes]
        assert set(ids) <= set(BY_ID), name
        assert len(ids) == len(set(ids)), name
        hints = [mistake.hint for mistake in mistakes]
        assert len(hints) == len(set(hints)), name
