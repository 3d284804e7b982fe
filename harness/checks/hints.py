"""Probable cause of wrong results: a known mistake that gives exactly these results, or a constant factor."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.checks.case import Array, FunctionCheck, KnownMistake, Outputs
from harness.checks.closeness import distance

__all__ = ["NO_HINT", "Hint", "probable_cause"]

Results = tuple[Outputs, Outputs, Outputs]
"""Results of the subject, expected results, and the magnitude of the latter."""
Judged = Mapping[str, Results]
"""Name of a case -> its results."""


@dataclass(frozen=True)
class Hint:
    """Probable cause of wrong results."""

    text: str
    """Description for people; "" if no known mistake gives these results."""
    mistakes: tuple[str, ...] = ()
    """Ids, in the catalogue, of the mistakes that the text names."""


NO_HINT = Hint("")


def probable_cause(check: FunctionCheck, judged: Judged, wrong: Sequence[str]) -> Hint:
    """Return the probable cause of the wrong results.

    It is the first of these that is found: a mistake that gives the subject's results in every case; if several results
    are wrong, one such mistake for each; a constant factor; a mistake that gives the subject's results in at least half
    of the wrong cases.
    """
    answered = {name: answer for name, answer in judged.items() if answer[0]}
    # Mistakes are compared within rounding. Cases that are wrong by rounding alone (tolerance "exact") are left out:
    # every mistake without effect in them would fit.
    failed = [name for name in wrong if name in answered and _wrong_results(answered[name])]
    if not failed:
        return NO_HINT
    known = _KnownOutputs(check, answered)
    results = answered[failed[0]][0]
    order = [*failed, *(name for name in answered if name not in failed)]  # most mistakes fail in the failed cases
    everywhere = f"\n  (it gives the same results in all {len(answered)} cases)"
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
        fits = f"it gives the same results in {count} of the {len(failed)} wrong cases"
        return Hint(f"in part: {best.hint}\n  ({fits})", _ids([best]))
    return NO_HINT


def _ids(mistakes: Iterable[KnownMistake]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(mistake.id for mistake in mistakes))


class _KnownOutputs:
    """Results of every known mistake, computed at first use."""

    def __init__(self, check: FunctionCheck, answered: Judged) -> None:
        self._mistakes = check.mistakes
        self._inputs = {case.name: case.inputs for case in check.cases}
        self._answered = answered
        self._outputs: dict[tuple[str, str], Outputs] = {}

    def that_explain(self, cases: Iterable[str], results: Collection[str]) -> list[KnownMistake]:
        """Return the mistakes that give the subject's values of these results in all these cases."""
        names = list(cases)
        return [mistake for mistake in self._mistakes if all(self._gives(mistake, case, results) for case in names)]

    def count(self, mistake: KnownMistake, cases: Iterable[str], results: Collection[str]) -> int:
        """Return the number of cases in which a mistake gives the subject's results."""
        return sum(self._gives(mistake, case, results) for case in cases)

    def _gives(self, mistake: KnownMistake, case: str, results: Collection[str]) -> bool:
        got, expected, magnitude = self._answered[case]
        known = self._outputs_of(mistake, case)
        return all(
            name in known
            and known[name].shape == got[name].shape
            and not distance(got[name], known[name], _size(name, got, expected, magnitude)).wrong(exact=False).any()
            for name in results
            if name in got
        )

    def _outputs_of(self, mistake: KnownMistake, case: str) -> Outputs:
        key = mistake.hint, case
        if key not in self._outputs:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    self._outputs[key] = mistake.outputs(self._inputs[case])
                except (ValueError, RuntimeError, IndexError, TypeError):  # the formula does not fit these shapes
                    self._outputs[key] = {}
        return self._outputs[key]


def _size(name: str, got: Outputs, expected: Outputs, magnitude: Outputs) -> Array:
    """Return the size to which the rounding errors of the subject's results are relative."""
    size = np.abs(np.nan_to_num(got[name], posinf=0.0, neginf=0.0))
    known = magnitude[name] if expected[name].shape == size.shape else np.max(magnitude[name], initial=0.0)
    return np.asarray(np.maximum(size, known))


def _wrong_results(answer: Results) -> list[str]:
    """Return the names of the results that differ from the expected ones by more than rounding."""
    got, expected, magnitude = answer
    return [
        name
        for name in got
        if got[name].shape != expected[name].shape
        or bool(distance(got[name], expected[name], magnitude[name]).wrong(exact=False).any())
    ]


def _constant_factor(failed: Sequence[Results]) -> str:
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
