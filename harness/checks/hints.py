"""The probable cause of wrong numbers: a known mistake that gives exactly these numbers, or a constant factor."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.checks.case import Array, FunctionCheck, KnownMistake, Outputs
from harness.checks.closeness import distance

__all__ = ["NO_HINT", "Hint", "probable_cause"]

Answer = tuple[Outputs, Outputs, Outputs]
"""Numbers of the subject, expected numbers, and the magnitude of the latter."""
Judged = Mapping[str, Answer]
"""Name of a case -> its answer."""


@dataclass(frozen=True)
class Hint:
    """Probable cause of wrong numbers."""

    text: str
    """Description for people; "" where nothing is known to give these numbers."""
    mistakes: tuple[str, ...] = ()
    """Ids of the mistakes that the text names, as the catalogue has them."""


NO_HINT = Hint("")


def probable_cause(check: FunctionCheck, judged: Judged, wrong: Sequence[str]) -> Hint:
    """Return what may be behind the wrong numbers.

    The best of: a mistake that gives the subject's numbers in every case; one for each wrong result, where there are
    several; a constant factor; a mistake that gives its numbers in at least half of the wrong cases.
    """
    answered = {name: answer for name, answer in judged.items() if answer[0]}
    # A mistake is compared within rounding, so numbers that differ by rounding alone would fit every mistake that is
    # right in these cases.
    failed = [name for name in wrong if name in answered and _wrong_results(answered[name])]
    if not failed:
        return NO_HINT
    known = _KnownNumbers(check, answered)
    results = answered[failed[0]][0]
    order = [*failed, *(name for name in answered if name not in failed)]  # most mistakes fail in the failed cases
    everywhere = f"\n  (it gives the same numbers in all {len(answered)} cases)"
    if found := known.that_explain(order, results):
        return Hint(f"{' / or: '.join(one.hint for one in found[:2])}{everywhere}", _ids(found[:2]))
    wrong_results = {name for case in failed for name in _wrong_results(answered[case])}
    by_result = {name: known.that_explain(order, [name]) for name in results if name in wrong_results}
    if by_result and all(by_result.values()):
        first = [(name, mistakes[0]) for name, mistakes in by_result.items()]
        text = "\n  ".join(f"{name}: {mistake.hint}" for name, mistake in first)
        return Hint(text + everywhere, _ids([mistake for _, mistake in first]))
    if factor := _constant_factor([answered[name] for name in failed]):
        return Hint(factor)
    counts = [(known.count(mistake, failed, results), mistake) for mistake in check.mistakes]
    count, best = max(counts, key=lambda counted: counted[0], default=(0, None))
    if best is not None and count and 2 * count >= len(failed):
        fits = f"it gives the same numbers in {count} of the {len(failed)} wrong cases"
        return Hint(f"in part: {best.hint}\n  ({fits})", _ids([best]))
    return NO_HINT


def _ids(mistakes: Iterable[KnownMistake]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(mistake.id for mistake in mistakes))


class _KnownNumbers:
    """Numbers of every known mistake, computed at first use."""

    def __init__(self, check: FunctionCheck, answered: Judged) -> None:
        self._mistakes = check.mistakes
        self._inputs = {case.name: case.inputs for case in check.cases}
        self._answered = answered
        self._numbers: dict[tuple[str, str], Outputs] = {}

    def that_explain(self, cases: Iterable[str], results: Collection[str]) -> list[KnownMistake]:
        """Return the mistakes that give the subject's numbers for these results in all these cases."""
        names = list(cases)
        return [mistake for mistake in self._mistakes if all(self._gives(mistake, case, results) for case in names)]

    def count(self, mistake: KnownMistake, cases: Iterable[str], results: Collection[str]) -> int:
        """Return the number of cases in which a mistake gives the subject's numbers."""
        return sum(self._gives(mistake, case, results) for case in cases)

    def _gives(self, mistake: KnownMistake, case: str, results: Collection[str]) -> bool:
        got, expected, magnitude = self._answered[case]
        numbers = self._of(mistake, case)
        return all(
            name in numbers
            and numbers[name].shape == got[name].shape
            and not distance(got[name], numbers[name], _size(name, got, expected, magnitude)).wrong(exact=False).any()
            for name in results
            if name in got
        )

    def _of(self, mistake: KnownMistake, case: str) -> Outputs:
        key = mistake.hint, case
        if key not in self._numbers:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    self._numbers[key] = mistake.numbers(self._inputs[case])
                except (ValueError, RuntimeError, IndexError, TypeError):  # no formula for shapes like these
                    self._numbers[key] = {}
        return self._numbers[key]


def _size(name: str, got: Outputs, expected: Outputs, magnitude: Outputs) -> Array:
    """Return the size that the rounding errors of the subject's numbers are relative to."""
    size = np.abs(np.nan_to_num(got[name], posinf=0.0, neginf=0.0))
    known = magnitude[name] if expected[name].shape == size.shape else np.max(magnitude[name], initial=0.0)
    return np.asarray(np.maximum(size, known))


def _wrong_results(answer: Answer) -> list[str]:
    """Return the names of the results that differ from the expected ones by more than rounding."""
    got, expected, magnitude = answer
    return [
        name
        for name in got
        if got[name].shape != expected[name].shape
        or bool(distance(got[name], expected[name], magnitude[name]).wrong(exact=False).any())
    ]


def _constant_factor(failed: Sequence[Answer]) -> str:
    """Return a sentence if one factor explains a result in every case, else ""."""
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
