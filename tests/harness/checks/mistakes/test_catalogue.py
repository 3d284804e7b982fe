"""Every known mistake, handed to its check as a function, is caught, and named as itself and not as another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from harness.checks.case import Mistake
from harness.checks.mistakes.advantages import MISTAKES
from harness.checks.mistakes.entropies import ENTROPY_FORMULAE
from harness.checks.mistakes.gradients import total_mistakes
from harness.checks.mistakes.log_probs import LOG_PROB_FORMULAE
from harness.checks.mistakes.losses import POLICY_FORMULAE, VALUE_FORMULAE
from harness.crosscheck import (
    check_clipped_loss,
    check_entropy,
    check_gae,
    check_gradient,
    check_log_prob,
    check_value_loss,
)
from tests.harness.checks.failures import failure

ARRAYS = ("rewards", "values", "episode_starts", "last_values", "dones")
TENSORS = ("log_prob", "old_log_prob", "advantages", "values", "old_values", "returns", "entropy")


def of_arrays(mistake: Mistake) -> Callable[..., Any]:
    return lambda *arrays, **settings: tuple(mistake({**dict(zip(ARRAYS, arrays, strict=True)), **settings}).values())


def of_each(formula: Any) -> Callable[..., Any]:
    each, total = formula
    return lambda *arguments: total(each(*arguments))


def by_name(formula: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *tensors, **settings: formula(**dict(zip(TENSORS, tensors, strict=True)), **settings)


def catalogue() -> Iterator[Any]:
    def entry(text: str, check: Callable[..., Any], function: Callable[..., Any], *arguments: str) -> Any:
        return pytest.param(check, function, arguments, text, id="-".join((check.__name__, *arguments, text)))

    for text, mistake in MISTAKES.items():
        yield entry(text, check_gae, of_arrays(mistake))
    for text, formula in POLICY_FORMULAE.items():
        yield entry(text, check_clipped_loss, of_each(formula))
    for text, formula in VALUE_FORMULAE.items():
        yield entry(text, check_value_loss, of_each(formula))
    by_distribution: list[tuple[Mapping[str, Mapping[str, Any]], Callable[..., Any]]] = [
        (LOG_PROB_FORMULAE, check_log_prob),
        (ENTROPY_FORMULAE, check_entropy),
    ]
    for formulae, check in by_distribution:
        for distribution, texts in formulae.items():
            for text, formula in texts.items():
                yield entry(text, check, formula, distribution)
    for text, formula in total_mistakes(normalize_advantage=True).items():
        if not text.startswith(("policy loss: ", "value loss: ")):  # those are the ones above
            yield entry(text, check_gradient, by_name(formula))


@pytest.mark.parametrize(("check", "function", "arguments", "text"), list(catalogue()))
def test_it_is_caught_and_named(
    check: Callable[..., Any], function: Callable[..., Any], arguments: tuple[str, ...], text: str
) -> None:
    hint = failure(check, function, *arguments).hint
    assert hint.splitlines()[0] == text
    assert hint.endswith("cases)")
