"""Comparison with an earlier measurement: ratios that fell by more than a quarter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from harness.bench.speeds import Speed
from harness.errors import RecordError

__all__ = ["TOLERATED_FALL", "fallen", "read_speeds"]

TOLERATED_FALL = 0.25
"""Part of a ratio that may be lost between two measurements. Ratios on a busy machine vary by a tenth."""


def read_speeds(path: Path) -> list[Speed]:
    """Return the results of a file that `harness bench --json` wrote; raise RecordError if it is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return [Speed.from_dict(entry) for entry in data["configurations"]]
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path}: is not a file of `harness bench --json`") from error


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
