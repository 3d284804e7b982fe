"""Show the progress of a comparison on the terminal: a bar for each running run, and one for all runs."""

from __future__ import annotations

import math
from collections.abc import Collection
from time import monotonic
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from harness.experiment.plan import RunSpec
from harness.experiment.run_records import RunRecord
from harness.printable import one_line
from harness.training.executors.events import (
    Finished,
    Job,
    NodeLost,
    Paused,
    Progressed,
    Retried,
    RunEvent,
    Started,
    Stopping,
)
from harness.training.executors.stopping import signals_held
from harness.training.progress import Progress

__all__ = ["Display", "clock"]

MAX_CAUSE = 300
"""Characters of the error of a failed run that are shown."""

_OTHER_LINES = 4
"""Lines of the terminal that bars leave free: the bar of all runs, and what was printed last."""


def clock(seconds: float) -> str:
    """Return a duration in seconds as text: "42s", "3m05s", "2h10m", or "--" if it is not finite."""
    if not math.isfinite(seconds):
        return "--"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}m"


class _RatesColumn(ProgressColumn):
    """Column with steps per second and return of a run, or the remaining time of all runs."""

    def render(self, task: Task) -> Text:
        return Text(task.fields.get("figures", ""), style="cyan")


class Display:
    """Progress of a comparison on a console: a context manager that is called with every event of the executor.

    On a terminal it draws a bar for all runs and one for each running run, as many as its height allows; in a file or
    pipe it prints one line per ended run. A terminal that is gone does not end the comparison.
    """

    def __init__(self, jobs: Collection[Job], n_workers: int, console: Console) -> None:
        self.console = console
        self.n_jobs = len(jobs)
        self.n_workers = n_workers
        self.total_steps = sum(job.spec.n_timesteps for job in jobs)
        self.steps_done = 0
        self.jobs_done = 0
        self.is_muted = False
        self.failures = 0
        self.started_at = monotonic()
        self.bars: dict[RunSpec, TaskID] = {}
        self.starts: dict[RunSpec, float] = {}
        self.steps: dict[RunSpec, int] = {}
        self.live_bars = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>4.0f}%"),
            _RatesColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.overall = self.live_bars.add_task("", total=max(self.total_steps, 1))

    def __enter__(self) -> Self:
        self.live_bars.start()
        self._show_overall()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.live_bars.stop()

    def __call__(self, event: RunEvent) -> None:
        """Show an event."""
        if self.is_muted:
            return
        try:
            self._show(event)
        except BrokenPipeError:  # the reader of a pipe has ended, and wants no more
            raise
        except OSError:
            self.is_muted = True

    def _show(self, event: RunEvent) -> None:
        match event:
            case Stopping(running=running):
                self._print(_stopping_line(len(running)))
            case Started(job=job):
                self._end(job.spec)  # an attempt that failed
                self.starts[job.spec] = monotonic()
                self.steps[job.spec] = 0
                self.bars[job.spec] = self.live_bars.add_task(job.spec.label, total=job.spec.n_timesteps)
            case Progressed(job=job, progress=progress):
                spec = job.spec
                self.steps[spec] = min(progress.steps, spec.n_timesteps)
                self.live_bars.update(self.bars[spec], completed=progress.steps, figures=self._figures(spec, progress))
            case Paused(job=job):
                self._end(job.spec)
                self._print(f"paused   {job.spec.label}: it continues from its checkpoint")
            case NodeLost(job=job, node=node):
                self._end(job.spec)
                self._print(
                    f"lost     {job.spec.label}: its machine {one_line(node, 100)} is gone; it will be continued"
                )
            case Retried(job=job, record=record):
                self._end(job.spec)
                self._print(f"failed   {job.spec.label}, it will be tried again: {_cause(record)}")
            case Finished(job=job, record=record):
                self._end(job.spec)
                self.steps_done += job.spec.n_timesteps
                self.jobs_done += 1
                self.failures += record.status == "failed"
                self._print(self._line(record), markup=True)
        self._fit_to_height()
        self._show_overall()

    def _print(self, line: str, *, markup: bool = False) -> None:
        with signals_held():  # an exception within would let rich print the line again
            self.console.print(line, markup=markup, highlight=False, soft_wrap=True)

    def _end(self, spec: RunSpec) -> None:
        """Remove the bar of a run."""
        if spec in self.bars:
            self.live_bars.remove_task(self.bars.pop(spec))
            self.steps.pop(spec)

    def _fit_to_height(self) -> None:
        """Show only as many bars as there are lines, the longest running first."""
        room = max(self.console.height - _OTHER_LINES, 1)
        for place, bar in enumerate(self.bars.values()):
            self.live_bars.update(bar, visible=place < room)

    def _figures(self, spec: RunSpec, progress: Progress) -> str:
        if progress.phase != "training":
            return f"{progress.phase} ..."
        seconds = monotonic() - self.starts[spec]
        fps = self.steps[spec] / seconds if seconds > 0 else 0.0
        shown = "--" if math.isnan(progress.episode_return) else f"{progress.episode_return:,.1f}"
        return f"{fps:>7,.0f} fps  return {shown}"

    def _show_overall(self) -> None:
        done = self.steps_done + sum(self.steps.values())
        seconds = monotonic() - self.started_at
        remaining = seconds * (self.total_steps - done) / done if done else math.inf
        failed = f", {self.failures} failed" if self.failures else ""
        waiting = self.n_jobs - self.jobs_done - len(self.bars)
        others = f", {len(self.bars)} running, {waiting} waiting" if self.bars and waiting else ""
        self.live_bars.update(
            self.overall,
            completed=done,
            description=f"[bold]{self.jobs_done} of {self.n_jobs} runs{failed}{others}[/bold]",
            figures=f"{clock(seconds)} elapsed, {clock(remaining)} to go",
        )

    def _line(self, record: RunRecord) -> str:
        """Return a line about an ended run: score and speed, or the error."""
        count = f"[{self.jobs_done:>{len(str(self.n_jobs))}}/{self.n_jobs}]".replace("[", r"\[")
        label = f"{record.spec.algo:<12} {record.spec.env} seed {record.spec.seed}"
        if record.status == "failed":
            # Escaped, as "[/dev/shm]" would be read as markup.
            return f"{count} [red]failed[/red]   {label}: {escape(_cause(record))}"
        fps = record.steps / record.train_seconds
        return (
            f"{count} [green]finished[/green] {label}: score {record.score:,.1f}, "
            f"{record.steps:,} steps at {fps:,.0f} fps, {clock(record.wall_seconds)}"
        )


def _cause(record: RunRecord) -> str:
    """Return type and message of the error of a failed run, in one line."""
    assert record.error is not None
    return one_line(f"{record.error['type']}: {record.error['message']}", MAX_CAUSE)


def _stopping_line(n_running: int) -> str:
    runs = f"{n_running} running run{'s' if n_running != 1 else ''}"
    return f"stopping: {runs} will pause at a checkpoint or go on to the end; once more (Ctrl-C) stops at once"
