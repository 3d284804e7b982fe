"""Measure the execution of experiments, each of them by calls of `harness compare` in processes of their own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from harness.bench.execution import experiments
from harness.bench.execution.experiments import Sizes
from harness.bench.execution.results import Growth, Overhead, Result, ShellLoop, Workers
from harness.bench.execution.timeline import Timeline
from harness.bench.execution.watching import timeline_of
from harness.bench.execution.zoo_loop import different_weights, seconds_of_zoo_run, write_zoo_file

__all__ = ["MEASUREMENTS", "measured_execution"]

Report = Callable[[str], None]


def measured_execution(name: str, sizes: Sizes, report: Report) -> Iterator[Result]:
    """Yield the result of a measurement, and before it those of its pairs so far.

    name: key of MEASUREMENTS. report: called with each step as text.
    Raises HarnessError if a run fails. Everything lies in a temporary folder, which is removed.
    """
    folder = Path(tempfile.mkdtemp(prefix="harness-bench-"))
    try:
        yield from MEASUREMENTS[name](sizes, folder, report)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run_overhead(sizes: Sizes, folder: Path, report: Report) -> Iterator[Overhead]:
    report(f"{sizes.one_step_runs} runs of one step")
    yield Overhead(timeline_of(experiments.one_step(sizes.one_step_runs), folder / "one step", 1))


def _two_workers(sizes: Sizes, folder: Path, report: Report) -> Iterator[Workers]:
    experiment = experiments.real(sizes.real_steps)
    times: dict[int, list[Timeline]] = {1: [], 2: []}
    for pair in range(sizes.pairs):
        for n_workers in (1, 2) if pair % 2 == 0 else (2, 1):
            report(f"pair {pair + 1} of {sizes.pairs}: {n_workers} worker{'s' if n_workers > 1 else ''}")
            times[n_workers].append(timeline_of(experiment, folder / f"{n_workers} {pair}", n_workers))
        yield Workers(tuple(times[1]), tuple(times[2]))


def _many_runs(sizes: Sizes, folder: Path, report: Report) -> Iterator[Growth]:
    report(f"{sizes.tiny_runs:,} runs")
    yield Growth(timeline_of(experiments.tiny(sizes.tiny_runs), folder / "tiny", 2))


def _zoo_loop(sizes: Sizes, folder: Path, report: Report) -> Iterator[ShellLoop]:
    """Run one half of the loop before the experiments and one after them, so that a slow minute hits both."""
    n_runs, steps = sizes.loop_runs, sizes.loop_steps
    zoo_file = write_zoo_file(folder, steps)
    loop: list[float] = []

    def train(last: int) -> None:
        while len(loop) < last:
            report(f"rl_zoo3: run {len(loop) + 1} of {n_runs}")
            loop.append(seconds_of_zoo_run(zoo_file, folder / "zoo", len(loop), steps))

    train(n_runs // 2)
    timelines = {}
    for algo in ("ppo", "custom_ppo"):
        report(f"{n_runs} runs of {algo}")
        timelines[algo] = timeline_of(experiments.loop(algo, n_runs, steps), folder / algo, 2)
    train(n_runs)
    unequal: list[str] = []
    for algo in timelines:
        runs = folder / algo / "results" / "runs" / algo
        unequal += [f"{algo}/{name}" for name in different_weights(runs, folder / "zoo" / "ppo", n_runs)]
    yield ShellLoop(tuple(loop), timelines["ppo"], timelines["custom_ppo"], tuple(unequal))


MEASUREMENTS: Mapping[str, Callable[[Sizes, Path, Report], Iterator[Result]]] = {
    "run-overhead": _run_overhead,
    "two-workers": _two_workers,
    "many-runs": _many_runs,
    "zoo-loop": _zoo_loop,
}
"""Name -> function that measures in a folder, and yields results."""
