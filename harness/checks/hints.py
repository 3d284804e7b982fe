"""Guessing what is behind wrong numbers: a known wrong formula that gives just them, or a constant factor."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from harness.checks.case import Array, FunctionCheck, Outputs
from harness.checks.closeness import distance

__all__ = ["probable_cause"]

Answer = tuple[Outputs, Outputs, Outputs]
"""What was got, what was expected, and the magnitude of the latter."""
Judged = Mapping[str, Answer]
"""Name of a case -> its answer."""


def probable_cause(check: FunctionCheck, judged: Judged, wrong: Sequence[str]) -> str:
    """What may be behind the wrong numbers, in words; empty where nothing is known to give them.

    The best of: a mistake that gives the subject's numbers in every case; one for each wrong result, where there are
    several; a constant factor; a mistake that gives its numbers in at least half of the wrong cases.
    """
    answered = {name: answer for name, answer in judged.items() if answer[0]}
    failed = [name for name in wrong if name in answered]
    if not failed:
        return ""
    mistakes = _Mistakes(check, answered)
    results = answered[failed[0]][0]
    order = [*failed, *(name for name in answered if name not in failed)]  # most formulae part in the failed ones
    everywhere = f"\n  (it gives the same numbers in all {len(answered)} cases)"
    if found := mistakes.that_explain(order, results):
        return f"{' / or: '.join(found[:2])}{everywhere}"
    by_result = {name: mistakes.that_explain(order, [name]) for name in results if _is_wrong(name, answered, failed)}
    if by_result and all(by_result.values()):
        return "\n  ".join(f"{name}: {found[0]}" for name, found in by_result.items()) + everywhere
    if factor := _constant_factor([answered[name] for name in failed]):
        return factor
    counts = {text: mistakes.count(text, failed, results) for text in check.mistakes}
    best = max(counts, key=lambda text: counts[text], default="")
    if best and 2 * counts[best] >= len(failed):
        return f"in part: {best}\n  (it gives the same numbers in {counts[best]} of the {len(failed)} wrong cases)"
    return ""


class _Mistakes:
    """The numbers of every known mistake, each computed when it is first asked for."""

    def __init__(self, check: FunctionCheck, answered: Judged) -> None:
        self._mistakes = check.mistakes
        self._inputs = {case.name: case.inputs for case in check.cases}
        self._answered = answered
        self._numbers: dict[tuple[str, str], Outputs] = {}

    def that_explain(self, cases: Iterable[str], results: Collection[str]) -> list[str]:
        """Mistakes that give the subject's numbers for these results in all these cases."""
        names = list(cases)
        return [text for text in self._mistakes if all(self._gives(text, case, results) for case in names)]

    def count(self, text: str, cases: Iterable[str], results: Collection[str]) -> int:
        """In how many of the cases a mistake gives the subject's numbers."""
        return sum(self._gives(text, case, results) for case in cases)

    def _gives(self, text: str, case: str, results: Collection[str]) -> bool:
        got, expected, magnitude = self._answered[case]
        numbers = self._of(text, case)
        return all(
            name in numbers
            and numbers[name].shape == got[name].shape
            and not distance(got[name], numbers[name], _size(name, got, expected, magnitude)).wrong(exact=False).any()
            for name in results
            if name in got
        )

    def _of(self, text: str, case: str) -> Outputs:
        key = text, case
        if key not in self._numbers:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    self._numbers[key] = self._mistakes[text](self._inputs[case])
                except (ValueError, RuntimeError, IndexError, TypeError):  # no formula for shapes like these
                    self._numbers[key] = {}
        return self._numbers[key]


def _size(name: str, got: Outputs, expected: Outputs, magnitude: Outputs) -> Array:
    """What the rounding of the subject's numbers is relative to."""
    size = np.abs(np.nan_to_num(got[name], posinf=0.0, neginf=0.0))
    known = magnitude[name] if expected[name].shape == size.shape else np.max(magnitude[name], initial=0.0)
    return np.asarray(np.maximum(size, known))


def _is_wrong(name: str, answered: Judged, failed: Sequence[str]) -> bool:
    """Whether a result differs in any failed case."""
    return any(
        got[name].shape != expected[name].shape
        or bool(distance(got[name], expected[name], magnitude[name]).wrong(exact=False).any())
        for got, expected, magnitude in (answered[case] for case in failed)
        if name in got
    )


def _constant_factor(failed: Sequence[Answer]) -> str:
    """In words, where one and the same factor explains a result in every case; else nothing."""
    for name in failed[0][0]:
        got = [answer[0][name].ravel() for answer in failed if name in answer[0]]
        expected = [answer[1][name].ravel() for answer in failed if name in answer[0]]
        if any(a.shape != b.shape for a, b in zip(got, expected, strict=True)):
            continue
        ours, theirs = np.concatenate(got), np.concatenate(expected)
        usable = np.isfinite(ours) & np.isfinite(theirs) & (np.abs(theirs) > 1e-6 * np.abs(theirs).max(initial=0.0))
        if np.count_nonzero(usable) < 2 or np.any((ours != 0) & (theirs == 0)):
            continue
        ratios = ours[usable] / theirs[usable]
        factor = float(np.median(ratios))
        if abs(factor - 1) > 1e-4 and np.all(np.abs(ratios - factor) <= 1e-4 * abs(factor)):
            return f"{name} everywhere {factor:.4g} times what was expected"
    return ""
