"""Comparison with an earlier measurement: ratios that fell by more than a quarter."""

from __future__ import annotations

from collections.abc import Sequence

from harness.bench.speeds import Speed

__all__ = ["TOLERATED_FALL", "fallen"]

TOLERATED_FALL = 0.25
"""Part of a ratio that may be lost between two measurements. Ratios on a busy machine vary by a tenth."""


def fallen(now: Sequence[Speed], before: Sequence[Speed]) -> list[str]:
    """Return one line for each configuration whose ratio is less than three quarters of the one before.

    One that was measured before, and was asked for but could not be measured now, counts too.
    """
    earlier = {speed.name: speed for speed in before if speed.ratios}
    lines = []
    for speed in now:
        if speed.name not in earlier:
            continue
        was = earlier[speed.name].ratio
        if speed.problem:
            lines.append(f"{speed.name}: was {was:.2f} times as fast as SB3, and is not measured now: {speed.problem}")
        elif speed.ratios and speed.ratio < (1 - TOLERATED_FALL) * was:
            lines.append(
                f"{speed.name}: {speed.ratio:.2f} times as fast as SB3 (engine {speed.engine}), was {was:.2f} "
                f"(engine {earlier[speed.name].engine}): fell by {1 - speed.ratio / was:.0%}"
            )
    return lines
