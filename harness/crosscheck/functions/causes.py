"""Guessing what is behind wrong numbers: a known wrong formula that gives just them, or a constant factor."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from harness.crosscheck.functions.case import FunctionCheck, Inputs, Mistake, Outputs
from harness.crosscheck.functions.closeness import distance

__all__ = ["probable_cause"]

Judged = Mapping[str, tuple[Outputs, Outputs, Outputs]]
"""Name of a case -> what was got, what was expected, and the magnitude of the latter."""


def probable_cause(check: FunctionCheck, judged: Judged, wrong: Sequence[str]) -> str:
    """The known mistakes that reproduce the subject's numbers, in words; else a constant factor; else nothing."""
    answered = {name: answer for name, answer in judged.items() if answer[0]}
    failed = [name for name in wrong if name in answered]
    if not failed:
        return ""
    inputs = {case.name: case.inputs for case in check.cases}
    explained = {
        text: [name for name in failed if _reproduces(mistake, inputs[name], answered[name])]
        for text, mistake in check.mistakes.items()
    }
    right = [name for name in answered if name not in failed]
    everywhere = [
        text
        for text, names in explained.items()
        if names == failed and all(_reproduces(check.mistakes[text], inputs[name], answered[name]) for name in right)
    ]
    if everywhere:
        return f"{' / or: '.join(everywhere[:2])}\n    (it gives the same numbers in all {len(answered)} cases)"
    if factor := _constant_factor([answered[name] for name in failed]):
        return factor
    best = max(explained, key=lambda text: len(explained[text]), default="")
    if best and 2 * len(explained[best]) >= len(failed):
        n = len(explained[best])
        return f"in part: {best}\n    (it gives the same numbers in {n} of the {len(failed)} wrong cases)"
    return ""


def _reproduces(mistake: Mistake, inputs: Inputs, answer: tuple[Outputs, Outputs, Outputs]) -> bool:
    got, expected, magnitude = answer
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            numbers = mistake(inputs)
        except (ValueError, RuntimeError, IndexError, TypeError):  # a formula that does not work for shapes like these
            return False
    for name, array in got.items():
        if name not in numbers or numbers[name].shape != array.shape:
            return False
        size = np.abs(np.nan_to_num(array, posinf=0.0, neginf=0.0))
        if expected[name].shape == array.shape:
            size = np.maximum(size, magnitude[name])
        if distance(array, numbers[name], size).wrong(exact=False).any():
            return False
    return True


def _constant_factor(failed: Sequence[tuple[Outputs, Outputs, Outputs]]) -> str:
    """In words, where one and the same factor explains a result in every case; else nothing."""
    for name in failed[0][0]:
        got = [answer[0][name].ravel() for answer in failed]
        expected = [answer[1][name].ravel() for answer in failed]
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
