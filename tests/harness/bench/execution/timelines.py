"""Results of measurements of whole experiments, as tests need them."""

from __future__ import annotations

from harness.bench.execution.results import Growth, Overhead, Result, ShellLoop, Workers
from harness.bench.execution.timeline import MemorySample, RunEnd, Timeline

__all__ = ["made_results", "timeline"]

MIB = 2**20


def timeline(ends: tuple[float, ...], n_workers: int = 1, end: float | None = None) -> Timeline:
    """Return an experiment that begins its first run after a second; runs train for half a second each."""
    samples = tuple(MemorySample(number, 100 * MIB, 200 * MIB) for number in range(1, len(ends) + 1))
    runs = tuple(RunEnd(time, 0.5, 0.6) for time in ends)
    return Timeline(n_workers, 1.0, runs, ends[-1] + 1.0 if end is None else end, samples, 300 * MIB)


def made_results() -> dict[str, Result]:
    """Return a result of each measurement."""
    ends = (2.0, 3.0, 4.0, 5.0, 6.0)
    return {
        "run-overhead": Overhead(timeline(ends)),
        "two-workers": Workers((timeline(ends),), (timeline((1.5, 2.0, 2.5, 3.0, 3.5), 2),)),
        "many-runs": Growth(timeline(ends, 2)),
        "zoo-loop": ShellLoop((10.0, 20.0), timeline((3.0, 4.0), 2), timeline((1.5, 2.0), 2)),
    }
