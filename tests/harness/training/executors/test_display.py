from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from rich.console import Console

from harness.training.executors.display import Display, clock
from harness.training.executors.events import Finished, Job, Paused, Progressed, Retried, Started, Stopping
from harness.training.progress import Progress
from tests.results_factory import failed, make_record, make_spec

JOBS = [Job(make_spec(seed=seed), Path("nowhere")) for seed in range(2)]


@pytest.fixture
def now() -> Iterator[list[float]]:
    """Replace the clock by a list with one settable time."""
    time = [100.0]
    with patch("harness.training.executors.display.monotonic", lambda: time[0]):
        yield time


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), width=120, force_terminal=terminal, color_system=None)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0s"), (59.4, "59s"), (59.6, "1m00s"), (185, "3m05s"), (7800, "2h10m"), (math.inf, "--"), (math.nan, "--")],
)
def test_durations_are_shown_in_seconds_minutes_or_hours(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_a_log_file_gets_one_line_for_each_finished_run(now: list[float]) -> None:
    log = console(terminal=False)
    record = make_record(JOBS[0].spec, [1234.5])
    with Display(JOBS, 2, log) as display:
        for job in JOBS:
            display(Started(job))
        display(Progressed(JOBS[0], Progress(500, math.nan, "training")))
        display(Finished(JOBS[0], record))
        display(Finished(JOBS[1], failed(make_record(JOBS[1].spec), "no [/dev/shm] left")))

    assert text_of(log).splitlines() == [
        "[1/2] finished ppo          CartPole-v1 seed 0: score 1,234.5, 1,000 steps at 100 fps, 12s",
        "[2/2] failed   ppo          CartPole-v1 seed 1: ValueError: no [/dev/shm] left",
    ]
    assert (display.jobs_done, display.failures) == (2, 1)


def test_a_long_error_message_is_shortened(now: list[float]) -> None:
    log = console(terminal=False)
    display = Display(JOBS, 2, log)
    display(Started(JOBS[0]))

    display(Finished(JOBS[0], failed(make_record(JOBS[0].spec), "nan " * 1000)))

    (line,) = text_of(log).splitlines()
    assert len(line) < 400
    assert line.endswith("nan nan ...")


def test_the_remaining_time_is_proportional_to_the_remaining_steps(now: list[float]) -> None:
    display = Display(JOBS, 2, console(terminal=False))
    for job in JOBS:
        display(Started(job))
    now[0] += 30.0
    display(Progressed(JOBS[0], Progress(500, 7.0, "training")))

    # 500 of 2000 steps took 30 seconds.
    (overall,) = [task for task in display.live_bars.tasks if task.id == display.overall]
    assert overall.fields["figures"] == "30s elapsed, 1m30s to go"
    assert overall.description == "[bold]0 of 2 runs[/bold]"
    bar = next(task for task in display.live_bars.tasks if task.description == "ppo CartPole-v1 seed 0")
    assert (bar.completed, bar.fields["figures"]) == (500, "     17 fps  return 7.0")


def test_evaluations_are_labelled_and_failures_are_counted(now: list[float]) -> None:
    display = Display(JOBS, 2, console(terminal=False))
    for job in JOBS:
        display(Started(job))
    display(Progressed(JOBS[0], Progress(1200, 7.0, "evaluating")))
    display(Finished(JOBS[1], failed(make_record(JOBS[1].spec))))

    overall, bar = display.live_bars.tasks
    assert (bar.percentage, bar.fields["figures"]) == (100.0, "evaluating ...")
    assert overall.description == "[bold]1 of 2 runs, 1 failed[/bold]"


def test_a_terminal_shows_bars(now: list[float]) -> None:
    terminal = console(terminal=True)
    with Display(JOBS, 2, terminal) as display:
        display(Started(JOBS[0]))
        display(Progressed(JOBS[0], Progress(500, math.nan, "training")))

    assert "ppo CartPole-v1 seed 0" in text_of(terminal)
    assert "return --" in text_of(terminal)


def test_runs_that_differ_only_in_hyperparameters_have_a_bar_each(now: list[float]) -> None:
    jobs = [Job(replace(make_spec(), hyperparams={"n_steps": n}), Path("nowhere")) for n in (1, 2)]
    display = Display(jobs, 2, console(terminal=False))
    for job in jobs:
        display(Started(job))

    assert len(display.live_bars.tasks) == 3


def test_a_terminal_of_few_lines_shows_as_many_bars_as_fit(now: list[float]) -> None:
    jobs = [Job(make_spec(seed=seed), Path("nowhere")) for seed in range(100)]
    terminal = Console(file=io.StringIO(), width=120, height=10, force_terminal=True, color_system=None)
    display = Display(jobs, 64, terminal)
    for job in jobs[:64]:
        display(Started(job))

    overall, *bars = display.live_bars.tasks
    assert [bar.description for bar in bars if bar.visible] == [f"ppo CartPole-v1 seed {seed}" for seed in range(6)]
    assert overall.description == "[bold]0 of 100 runs, 64 running, 36 waiting[/bold]"

    display(Finished(jobs[0], make_record(jobs[0].spec)))

    assert [bar.description[-2:].strip() for bar in display.live_bars.tasks[1:] if bar.visible] == [*"123456"]


def test_retries_pauses_and_a_stop_are_told(now: list[float]) -> None:
    log = console(terminal=False)
    display = Display(JOBS, 2, log)
    for job in JOBS:
        display(Started(job))
    display(Retried(JOBS[0], failed(make_record(JOBS[0].spec), "no [/dev/shm]\x1b[2J left")))
    display(Started(JOBS[0]))
    display(Stopping((JOBS[0],)))
    display(Paused(JOBS[0]))

    assert text_of(log).splitlines() == [
        r"failed   ppo CartPole-v1 seed 0, it will be tried again: ValueError: no [/dev/shm]\x1b[2J left",
        "stopping: 1 running run will pause at a checkpoint or go on to the end; once more (Ctrl-C) stops at once",
        "paused   ppo CartPole-v1 seed 0: it continues from its checkpoint",
    ]
    assert (display.jobs_done, display.failures) == (0, 0)


class Gone(io.StringIO):
    """Terminal that was closed."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


def test_a_terminal_that_is_gone_ends_nothing(now: list[float]) -> None:
    display = Display(JOBS, 2, Console(file=Gone(OSError(5, "Input/output error")), width=120))

    display(Started(JOBS[0]))
    display(Finished(JOBS[0], make_record(JOBS[0].spec)))
    display(Started(JOBS[1]))

    assert display.is_muted


def test_a_pipe_that_nobody_reads_ends_the_comparison(now: list[float]) -> None:
    display = Display(JOBS, 2, Console(file=Gone(BrokenPipeError()), width=120))

    with pytest.raises((BrokenPipeError, SystemExit)):
        display(Finished(JOBS[0], make_record(JOBS[0].spec)))
