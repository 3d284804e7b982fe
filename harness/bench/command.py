"""Command `harness bench`: measure the chosen configurations, print tables, write JSON, compare with a baseline.

torch is loaded only when a measurement begins, so that wrong names and paths are refused at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from rich.console import Console

from harness.bench.baseline import fallen
from harness.bench.configurations import NOTES, Configuration, chosen_configurations, scaled
from harness.bench.execution.experiments import Sizes
from harness.bench.execution.grid import execution_grid
from harness.bench.execution.results import RESULTS, ShellLoop
from harness.bench.machine import BUSY_LOAD, describe, machine
from harness.bench.peer_speeds import peer_grid
from harness.bench.progress import Progress
from harness.bench.records import BenchRecord, check_writable, read_record, write_record
from harness.bench.speeds import Speed, geometric_mean
from harness.bench.tables import Grid, as_markdown, as_table, mean_line, parts_grid, speed_grid
from harness.errors import HarnessError, did_you_mean

__all__ = ["ENGINES", "EXECUTION", "Verdict", "run_bench", "run_profile", "show_record"]

ENGINES = ("auto", "autograd", "fused", "native")
"""Engines that CustomPPO can be asked for; one that is not possible is reported for each configuration."""

EXECUTION = "execution"
"""Name that stands for all measurements of whole experiments."""

Verdict = Literal["yes", "no", "interrupted"]
"""Answer to the question whether all bits are equal and no ratio fell."""


def run_bench(
    console: Console,
    *,
    engine: str,
    only: Sequence[str],
    pairs: int,
    scale: float,
    parts: bool,
    json_file: Path | None,
    baseline: Path | None,
    peers: Path | None,
    markdown: bool,
) -> Verdict:
    """Measure, print and write; return "no" if bits differ or a ratio fell by more than a quarter.

    Ctrl-C ends the measurement, and what was measured is printed and written. The other arguments are the options of
    `harness bench`. Raises HarnessError, before anything is measured, for names and paths that cannot be used.
    """
    _check_engine(engine)
    chosen = [scaled(configuration, scale) for configuration in chosen_configurations(only, [*RESULTS, EXECUTION])]
    execution = [name for name in RESULTS if not only or name in only or EXECUTION in only]
    before = [] if baseline is None else read_record(baseline).speeds
    check_writable(json_file)
    if peers is not None and not peers.is_dir():
        raise HarnessError(f"{peers}: the folder of the other implementations does not exist")
    record = BenchRecord(machine(), engine)
    _say(console, describe(record.machine))
    load = record.machine["load_average"]
    if load is not None and load > BUSY_LOAD:
        _say(console, f"warning: the machine is busy (load average {load:.2f}): ratios will be less certain")
    try:
        _measure(record, chosen, pairs, parts)
        if peers is not None:
            _measure_peers(record, peers, pairs)
        _measure_execution(record, execution, Sizes().scaled(scale, pairs))
    except KeyboardInterrupt:
        record.interrupted = True
        _say(console, "interrupted: what was measured so far is below")
    _print(console, record, markdown)
    if json_file is not None:
        write_record(json_file, record)
        _say(console, f"written to {json_file}")
    problems = [*_unequal(record.speeds), *_unequal_runs(record), *fallen(record.speeds, before)]
    for problem in problems:
        _say(console, problem)
    return "interrupted" if record.interrupted else "no" if problems else "yes"


def show_record(console: Console, path: Path, markdown: bool) -> None:
    """Print the tables of an earlier benchmark; raise RecordError if this is no file of one."""
    record = read_record(path)
    _say(console, describe(record.machine))
    _print(console, record, markdown)


def run_profile(console: Console, name: str, engine: str) -> None:
    """Print the functions in which our training of the named configuration spends its time."""
    _check_engine(engine)
    (configuration,) = chosen_configurations([name])
    from harness.bench.profiling import profile_text

    _say(console, profile_text(configuration, engine))


def _check_engine(engine: str) -> None:
    if engine not in ENGINES:
        hint = did_you_mean(engine, ENGINES)
        raise HarnessError(f"engine {engine!r} is not known{hint} (known: {', '.join(ENGINES)})")


def _measure(record: BenchRecord, chosen: Sequence[Configuration], pairs: int, parts: bool) -> None:
    """Add the speed of each configuration to the record, also one whose pairs were interrupted."""
    from harness.bench.measure import measure_speed, single_thread, with_parts

    progress = Progress(len(chosen))
    with single_thread():
        for configuration in chosen:
            name, steps = configuration.name, configuration.n_timesteps
            speed = Speed(name, configuration.env, configuration.algo, steps, problem="interrupted")
            record.speeds.append(speed)
            try:
                for speed in measure_speed(configuration, record.engine, pairs, progress.report):
                    record.speeds[-1] = speed
                if parts and speed.ratios and not speed.unequal:
                    record.speeds[-1] = with_parts(configuration, record.engine, speed, progress.report)
            except HarnessError as error:
                record.speeds[-1] = replace(speed, problem=" ".join(str(error).split()))
            except KeyboardInterrupt:
                progress.clear()
                raise
            progress.done(record.speeds[-1])


def _measure_peers(record: BenchRecord, folder: Path, pairs: int) -> None:
    from harness.bench.measure import single_thread
    from harness.bench.peers import measure_peers

    progress = Progress(1)
    try:
        with single_thread():
            for speed in measure_peers(folder, pairs, progress.report):
                record.peers.append(speed)
    finally:
        progress.clear()


def _measure_execution(record: BenchRecord, names: Sequence[str], sizes: Sizes) -> None:
    """Add the result of each measurement of whole experiments to the record."""
    if not names:
        return
    from harness.bench.execution.measuring import measured_execution

    progress = Progress(len(names))
    for name in names:
        try:
            for result in measured_execution(name, sizes, progress.report):
                record.execution[name] = result
        except HarnessError as error:
            record.problems[name] = " ".join(str(error).split())
        except KeyboardInterrupt:
            progress.clear()
            raise
        progress.step_done(name, "not measured" if name in record.problems else "measured")


def _unequal_runs(record: BenchRecord) -> list[str]:
    return [
        f"{name}: bits differ from rl_zoo3's after training: {', '.join(result.unequal)}"
        for name, result in record.execution.items()
        if isinstance(result, ShellLoop) and result.unequal
    ]


def _unequal(speeds: Iterable[Speed]) -> list[str]:
    return [
        f"{speed.name}: bits differ from SB3's after training: {speed.unequal}" for speed in speeds if speed.unequal
    ]


def _print(console: Console, record: BenchRecord, markdown: bool) -> None:
    notes = NOTES if markdown else {}
    grids = (speed_grid(record.speeds, notes), parts_grid(record.speeds), peer_grid(record.peers))
    for grid in (*grids, execution_grid(record.execution)):
        if grid.rows:
            _print_grid(console, grid, markdown)
    for speed in record.speeds:
        if speed.problem:
            _say(console, f"{speed.name}: not measured: {speed.problem}")
    for name, problem in record.problems.items():
        _say(console, f"{name}: not measured: {problem}")
    mean = geometric_mean(record.speeds)
    if mean is not None:
        _say(console, mean_line(mean))


def _print_grid(console: Console, grid: Grid, markdown: bool) -> None:
    if markdown:
        _say(console, f"{grid.title}:\n\n{as_markdown(grid)}\n")
    else:
        console.print(as_table(grid))


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
