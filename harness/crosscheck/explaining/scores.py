"""Score of a hypothesis in one run: where CustomPPO, trained under it, first diverges from the subject."""

from __future__ import annotations

from typing import NamedTuple

from harness.crosscheck.comparing.comparison import Comparison
from harness.crosscheck.quantities import Place

__all__ = ["AT_ONCE", "NO_DIVERGENCE", "Score", "score_of"]

NO_DIVERGENCE = Place(10**9, 0, 0)
"""Place after every other: the two traces never diverge."""

AT_ONCE = Place(0, 0, 0)
"""Place before every other: the hypothesis cannot even be trained."""


class Score(NamedTuple):
    """First divergences of two traces; the later they are, the more of the subject is reproduced.

    Scores compare like tuples: agreement up to rounding counts before bitwise agreement.
    """

    beyond_rounding: Place
    """First place where the arrays differ beyond rounding, or NO_DIVERGENCE."""
    any_size: Place
    """First place where any bit differs, or NO_DIVERGENCE."""

    @property
    def exact(self) -> bool:
        """True if every bit agrees."""
        return self.beyond_rounding == self.any_size == NO_DIVERGENCE

    @property
    def up_to_rounding(self) -> bool:
        """True if nothing differs beyond rounding."""
        return self.beyond_rounding == NO_DIVERGENCE

    @property
    def place(self) -> Place:
        """Place of the divergence that is left to explain: beyond rounding, if there is one."""
        return self.any_size if self.up_to_rounding else self.beyond_rounding


def score_of(comparison: Comparison) -> Score:
    """Return the score of two complete traces from their comparison."""
    first, beyond = comparison.first, comparison.first_beyond_rounding
    return Score(NO_DIVERGENCE if beyond is None else beyond.place, NO_DIVERGENCE if first is None else first.place)
