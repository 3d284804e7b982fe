"""Outcome of the cross-check of one subject, judged by what was expected, and counts over many outcomes."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.crosscheck.api import Crosscheck
from harness.crosscheck.quantities import ORDER
from tests.planted.selection import Planted
from tests.planted.subjects import standalone_bugs

__all__ = ["VERDICTS", "Outcome", "outcome_of", "totals"]

VERDICTS = ("identical", "rounding", "different")
"""Verdicts of the cross-check, from the best to the worst."""


@dataclass(frozen=True)
class Outcome:
    """Result of the cross-check of one subject, with what was expected."""

    planted: Planted
    found_at: str
    """Quantity of the first divergence beyond rounding, else of the first of any size; "" if there is none."""
    faults: tuple[str, ...]
    """Quantities that differ although their inputs were set to the reference's."""
    named: tuple[tuple[str, ...], ...]
    """Catalogue ids of the explanation: a group for each mistake, with all ids that explain it equally well."""
    explanation_verdict: str
    """Verdict of the explanation, such as "explained exactly"; "" if none was sought."""
    verdict: str
    """One of `VERDICTS`, or "" after an error."""
    seconds: float
    iteration: int = 1
    """Iteration of the first divergence, from 1."""
    error: str = ""
    """Message of the error that ended the cross-check itself; "" if it finished."""

    @property
    def place(self) -> str:
        """Place of the first divergence: "at" the quantity expected of a bug, "later", or "before" all of them.

        A correct implementation is "at" if its verdict is no worse than expected, else "before".
        """
        if not self.planted.expected_at:
            right = VERDICTS.index(self.verdict) <= VERDICTS.index(self.planted.expected_verdict)
            return "at" if right else "before"
        if self.found_at in self.planted.expected_at:
            return "at"
        first = min(ORDER[quantity] for quantity in self.planted.expected_at)
        later = self.iteration > 1 or ORDER.get(self.found_at, -1) > first
        return "later" if later and self.verdict != "identical" else "before"

    @property
    def verdict_right(self) -> bool:
        """True if the verdict is the expected one, or for a correct implementation no worse."""
        return self.verdict == self.planted.expected_verdict or (not self.planted.expected_at and self.located)

    @property
    def located(self) -> bool:
        """True if the first divergence is at an expected quantity.

        A later one is accepted of the standalone PPO, whose intermediate quantities cannot be recorded.
        """
        return self.place == "at" or (self.place == "later" and self.planted.module == standalone_bugs.MODULE)

    @property
    def isolated(self) -> bool:
        """True if every bug's quantity is reported as wrong on its own."""
        return set(self.planted.expected_at) <= {self.found_at, *self.faults}

    @property
    def rightly_named(self) -> bool | None:
        """True if the explanation consists of the bugs' ids and nothing else; None if one is not in the catalogue.

        A correct implementation may also remain unexplained: the catalogue has only some equivalent ways of writing.
        """
        expected = self.planted.deviations
        if not self.explanation_verdict or None in expected:
            return None
        if not self.planted.expected_at and not self.named:
            return True
        return len(expected) == len(self.named) and any(
            all(name in group for name, group in zip(order, self.named, strict=True))
            for order in itertools.permutations(expected)
        )

    @property
    def falsely_named(self) -> bool:
        """True if some part of the explanation is none of the bugs, even in an explanation that is incomplete."""
        expected = set(self.planted.deviations)
        return any(not expected & set(group) for group in self.named)

    @property
    def explanation(self) -> str:
        """Explanation as text, such as "sgd and entropy_zero or entropy_left_out"; "" if there is none."""
        return " and ".join(" or ".join(group) for group in self.named)


def outcome_of(planted: Planted, result: Crosscheck) -> Outcome:
    """Return the part of a cross-check's result that the benchmark judges."""
    diverging = [run for run in result.runs if run.verdict == result.verdict and run.first is not None]
    first = diverging[0].first_beyond_rounding or diverging[0].first if diverging else None
    explanation = result.explanation
    return Outcome(
        planted,
        "" if first is None else first.quantity,
        tuple(dict.fromkeys(fault.quantity for run in result.runs for fault in run.faults)),
        () if explanation is None else explanation.deviations,
        "" if explanation is None else explanation.verdict,
        result.verdict,
        result.seconds,
        iteration=1 if first is None else first.iteration,
    )


def totals(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield lines that count the outcomes: verdicts, places, isolated faults, names."""
    finished = [one for one in outcomes if not one.error]
    seconds = sum(one.seconds for one in outcomes)
    yield f"{len(outcomes)} subjects, {len(outcomes) - len(finished)} not checked, {seconds:.0f} s"
    yield f"verdict as expected: {sum(one.verdict_right for one in finished)}"
    places = Counter(one.place for one in finished)
    yield f"first divergence at the expected quantity: {places['at']}, " + (
        f"later: {places['later']}, before: {places['before']}"
    )
    yield f"every bug isolated with the reference's inputs: {sum(one.isolated for one in finished)}"
    named = Counter(one.rightly_named for one in finished)
    if named[True] or named[False]:
        yield f"in the catalogue: {named[True]} rightly named, {named[False]} not"
    unlisted = [one for one in finished if one.explanation_verdict and None in one.planted.deviations]
    if unlisted:
        wrongly = [one.planted.name for one in unlisted if one.explanation_verdict == "explained exactly"]
        yield f"not in the catalogue: {len(unlisted)}; explained exactly all the same: {', '.join(wrongly) or 'none'}"
