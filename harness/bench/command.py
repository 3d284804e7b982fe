"""Command `harness bench`: measure the chosen configurations, print tables, write JSON, compare with a baseline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from harness.bench.baseline import fallen, read_speeds
from harness.bench.configurations import Configuration, chosen_configurations
from harness.bench.machine import BUSY_LOAD, describe, machine
from harness.bench.progress import Progress
from harness.bench.speeds import Speed, geometric_mean
from harness.bench.tables import as_markdown, as_table, mean_line, parts_grid, speed_grid
from harness.errors import HarnessError, did_you_mean

__all__ = ["ENGINES", "Verdict", "run_bench"]

ENGINES = ("auto", "autograd", "fused", "native")
"""Engines that CustomPPO can be asked for; one that it does not have is reported for each configuration."""

Verdict = Literal["yes", "no", "interrupted"]
"""Answer to the question whether all bits are equal and no ratio fell."""


def run_bench(
    console: Console,
    *,
    engine: str,
    only: Sequence[str],
    pairs: int,
    parts: bool,
    json_file: Path | None,
    baseline: Path | None,
    markdown: bool,
) -> Verdict:
    """Measure, print and write; return "no" if bits differ or a ratio fell by more than a quarter.

    Ctrl-C ends the measurement, and what was measured is printed and written. Raises HarnessError, before anything is
    measured, for names and paths that cannot be used.
    """
    if engine not in ENGINES:
        raise HarnessError(
            f"engine {engine!r} is not known{did_you_mean(engine, ENGINES)} (known: {', '.join(ENGINES)})"
        )
    chosen = chosen_configurations(only)
    before = None if baseline is None else read_speeds(baseline)
    if json_file is not None and not json_file.parent.is_dir():
        raise HarnessError(f"{json_file}: the folder {json_file.parent} does not exist")
    found_machine = machine()
    _say(console, describe(found_machine))
    load = found_machine["load_average"]
    if load is not None and load > BUSY_LOAD:
        _say(console, f"warning: the machine is busy (load average {load:.2f}): ratios will be less certain")
    speeds, interrupted = _measured(console, chosen, engine, pairs, parts)
    if interrupted:
        _say(console, "interrupted: what was measured so far is below")
    _print(console, speeds, markdown)
    if json_file is not None:
        _write(json_file, found_machine, engine, speeds, interrupted)
        _say(console, f"written to {json_file}")
    problems = [
        f"{speed.name}: bits differ from SB3's after training: {speed.unequal}" for speed in speeds if speed.unequal
    ]
    problems += [] if before is None else fallen(speeds, before)
    for problem in problems:
        _say(console, problem)
    return "interrupted" if interrupted else "no" if problems else "yes"


def _measured(
    console: Console, chosen: Sequence[Configuration], engine: str, pairs: int, parts: bool
) -> tuple[list[Speed], bool]:
    """Return the results, and True if Ctrl-C ended the measurement."""
    from harness.bench.measure import measure_speed, single_thread

    speeds: list[Speed] = []
    progress = Progress(len(chosen))
    with single_thread():
        try:
            for configuration in chosen:
                speed = Speed(configuration.name, configuration.env, configuration.algo, configuration.n_timesteps)
                speeds.append(speed)
                try:
                    for speed in measure_speed(configuration, engine, pairs, progress.report):
                        speeds[-1] = speed
                except HarnessError as error:
                    speeds[-1] = replace(speed, problem=" ".join(str(error).split()))
                progress.done(speeds[-1])
        except KeyboardInterrupt:
            progress.clear()
            return [speed for speed in speeds if speed.ours or speed.problem or speed.unequal], True
    return speeds, False


def _print(console: Console, speeds: Sequence[Speed], markdown: bool) -> None:
    for grid in (speed_grid(speeds), parts_grid(speeds)):
        if grid.rows and markdown:
            _say(console, f"{grid.title}:\n\n{as_markdown(grid)}\n")
        elif grid.rows:
            console.print(as_table(grid))
    for speed in speeds:
        if speed.problem:
            _say(console, f"{speed.name}: not measured: {speed.problem}")
    mean = geometric_mean(speeds)
    if mean is not None:
        _say(console, mean_line(mean))


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _write(path: Path, found_machine: dict[str, Any], engine: str, speeds: Sequence[Speed], interrupted: bool) -> None:
    mean = geometric_mean(speeds)
    data = {
        "format": 1,
        "machine": found_machine,
        "engine": engine,
        "interrupted": interrupted,
        "geometric_mean": None if mean is None else vars(mean),
        "configurations": [speed.as_dict() for speed in speeds],
    }
    try:
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"{path}: cannot be written: {error.strerror}") from error
