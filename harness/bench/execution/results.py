"""Results of the four measurements, and what is computed from their times. No torch is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from harness.bench.execution.timeline import N_PARTS, Timeline

__all__ = ["RESULTS", "Growth", "Overhead", "Result", "ShellLoop", "Workers"]


@dataclass(frozen=True)
class Overhead:
    """Runs of one step, one after the other, with the time of each that is not spent in `learn()`."""

    timeline: Timeline

    @property
    def median(self) -> float:
        """Median overhead of a run in seconds."""
        return float(np.median(self.timeline.overheads))

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile of the overheads in seconds."""
        low, high = np.quantile(self.timeline.overheads, (0.25, 0.75))
        return float(low), float(high)

    @property
    def inside(self) -> float:
        """Median of the part of the overhead that passes in the work of the run's process: environments, files, ..."""
        return float(np.median([run.wall_seconds - run.train_seconds for run in self.timeline.runs[1:]]))

    def as_dict(self) -> dict[str, Any]:
        """Return times and statistics as plain data for JSON."""
        return {"median": self.median, "quartiles": self.quartiles, "timeline": self.timeline.as_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the result from the data of `as_dict`."""
        return cls(Timeline.from_dict(data["timeline"]))


@dataclass(frozen=True)
class Workers:
    """Pairs of an experiment with one worker and with two, in alternating order."""

    one: tuple[Timeline, ...]
    two: tuple[Timeline, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Time of all runs with one worker divided by that with two, for each pair."""
        return tuple(one.running / two.running for one, two in zip(self.one, self.two, strict=True))

    @property
    def ratio(self) -> float:
        """Median of the ratios."""
        return float(np.median(self.ratios))

    def as_dict(self) -> dict[str, Any]:
        """Return times and statistics as plain data for JSON."""
        timelines = {name: [one.as_dict() for one in getattr(self, name)] for name in ("one", "two")}
        return {"ratio": self.ratio, "ratios": self.ratios, **timelines}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the result from the data of `as_dict`."""
        one, two = (tuple(map(Timeline.from_dict, data[name])) for name in ("one", "two"))
        return cls(one, two)


@dataclass(frozen=True)
class Growth:
    """Many tiny runs in one experiment, in equal parts of the experiment."""

    timeline: Timeline

    @property
    def seconds(self) -> tuple[float, ...]:
        """Seconds per run in each part."""
        return self.timeline.seconds_per_run(N_PARTS)

    @property
    def main(self) -> tuple[float, ...]:
        """Median memory of the main process in each part, in bytes."""
        return self.timeline.memory_of_parts("main", N_PARTS)

    @property
    def server(self) -> tuple[float, ...]:
        """Median memory of the process that forks those of runs in each part, in bytes."""
        return self.timeline.memory_of_parts("server", N_PARTS)

    def as_dict(self) -> dict[str, Any]:
        """Return times and statistics as plain data for JSON."""
        parts = {"seconds": self.seconds, "main": self.main, "server": self.server}
        return {**parts, "timeline": self.timeline.as_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the result from the data of `as_dict`."""
        return cls(Timeline.from_dict(data["timeline"]))


@dataclass(frozen=True)
class ShellLoop:
    """Short runs as a loop over processes of `rl_zoo3.train`, and as experiments of the harness."""

    loop: tuple[float, ...]
    """Seconds of each process of rl_zoo3."""

    sb3: Timeline
    """Experiment with SB3's PPO, as rl_zoo3 trains it."""

    custom: Timeline
    """Experiment with CustomPPO."""

    unequal: tuple[str, ...] = ()
    """Runs whose final weights differ from those of rl_zoo3."""

    def ratio(self, timeline: Timeline) -> float:
        """Return the time of the loop divided by that of an experiment, its report included."""
        return sum(self.loop) / timeline.end

    def as_dict(self) -> dict[str, Any]:
        """Return times and statistics as plain data for JSON."""
        return {
            "ratio_sb3": self.ratio(self.sb3),
            "ratio_custom": self.ratio(self.custom),
            "unequal": self.unequal,
            "loop": self.loop,
            "sb3": self.sb3.as_dict(),
            "custom": self.custom.as_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the result from the data of `as_dict`."""
        sb3, custom = (Timeline.from_dict(data[name]) for name in ("sb3", "custom"))
        return cls(tuple(map(float, data["loop"])), sb3, custom, tuple(map(str, data["unequal"])))


Result = Overhead | Workers | Growth | ShellLoop

RESULTS: Mapping[str, type[Overhead] | type[Workers] | type[Growth] | type[ShellLoop]] = {
    "run-overhead": Overhead,
    "two-workers": Workers,
    "many-runs": Growth,
    "zoo-loop": ShellLoop,
}
"""Name of a measurement -> class of its result, in the order of the table."""
