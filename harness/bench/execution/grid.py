"""Table of the execution of experiments. No torch is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.bench.execution.results import RESULTS, Growth, Overhead, Result, ShellLoop, Workers
from harness.bench.tables import Grid

__all__ = ["execution_grid"]

_MIB = 2**20


def execution_grid(results: Mapping[str, Result]) -> Grid:
    """Return a row for each figure of the measurements.

    results: name of a measurement -> its result.
    """
    rows = tuple(row for name in RESULTS if name in results for row in _rows(name, results[name]))
    return Grid("Execution of experiments", ("measurement", "figure", "value", "details"), rows, 2)


def _rows(name: str, result: Result) -> Iterator[tuple[str, str, str, str]]:
    match result:
        case Overhead():
            low, high = result.quartiles
            details = f"{1e3 * low:.0f}-{1e3 * high:.0f} ms, {1e3 * result.inside:.0f} ms of them in its process"
            n_runs = len(result.timeline.runs)
            yield name, f"time of a run of one step beyond learn(), {n_runs} runs", _ms(result.median), details
        case Workers():
            details = f"{_spread(result.ratios)}, {result.one[0].running:.0f} s by one in the first pair"
            n_runs, n_pairs = len(result.one[0].runs), len(result.one)
            figure = f"time with one worker / with two, {n_runs} runs, {n_pairs} pair{'s' if n_pairs > 1 else ''}"
            yield name, figure, f"{result.ratio:.2f}x", details
        case Growth():
            n_runs = len(result.timeline.runs)
            parts = ", ".join(f"{1e3 * seconds:.0f}" for seconds in result.seconds)
            yield (
                name,
                f"time of a run, last fifth / first fifth of {n_runs:,} runs",
                f"{result.seconds[-1] / result.seconds[0]:.2f}x",
                f"fifths: {parts} ms",
            )
            for label, sizes in (("main process", result.main), ("process that forks", result.server)):
                parts = ", ".join(f"{size / _MIB:.1f}" for size in sizes)
                growth = f"{(sizes[-1] - sizes[0]) / _MIB:+.1f} MiB"
                yield "", f"memory of the {label}, last fifth - first fifth", growth, f"fifths: {parts} MiB"
            yield "", "tables and figures after the last run", f"{result.timeline.report:.1f} s", ""
        case ShellLoop():
            labels = (("SB3's PPO", result.sb3), ("CustomPPO", result.custom))
            for label, timeline in labels:
                yield (
                    name if timeline is result.sb3 else "",
                    f"loop over rl_zoo3.train / harness with {label}, {len(result.loop)} runs",
                    f"{result.ratio(timeline):.2f}x",
                    f"{sum(result.loop):.0f} s / {timeline.end:.0f} s, of which {timeline.first_start:.1f} s start "
                    f"and {timeline.report:.1f} s report",
                )


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.0f} ms"


def _spread(values: Sequence[float]) -> str:
    return f"{min(values):.2f}-{max(values):.2f}"
