"""Show the progress of a comparison on the terminal: a bar for each running run, and one for all runs."""

from __future__ import annotations

import math
import textwrap
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
from harness.training.executors.events import Finished, Job, Progressed, RunEvent, Started
from harness.training.progress import Progress

__all__ = ["Display", "clock"]


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

    On a terminal it draws live bars; in a file or pipe it prints one line per ended run.
    """

    def __init__(self, jobs: Collection[Job], n_workers: int, console: Console) -> None:
        self.console = console
        self.n_jobs = len(jobs)
        self.n_workers = n_workers
        self.total_steps = sum(job.spec.n_timesteps for job in jobs)
        self.steps_done = 0
        self.jobs_done = 0
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
        spec = event.job.spec
        match event:
            case Started():
                self.starts[spec] = monotonic()
                self.steps[spec] = 0
                self.bars[spec] = self.live_bars.add_task(spec.label, total=spec.n_timesteps)
            case Progressed(progress=progress):
                self.steps[spec] = min(progress.steps, spec.n_timesteps)
                self.live_bars.update(self.bars[spec], completed=progress.steps, figures=self._figures(spec, progress))
            case Finished(record=record):
                self.live_bars.remove_task(self.bars.pop(spec))
                self.steps.pop(spec)
                self.steps_done += spec.n_timesteps
                self.jobs_done += 1
                self.failures += record.status == "failed"
                self.console.print(self._line(record), highlight=False, soft_wrap=True)
        self._show_overall()

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
        self.live_bars.update(
            self.overall,
            completed=done,
            description=f"[bold]{self.jobs_done} of {self.n_jobs} runs{failed}[/bold]",
            figures=f"{clock(seconds)} elapsed, {clock(remaining)} to go",
        )

    def _line(self, record: RunRecord) -> str:
        """Return a line about an ended run: score and speed, or the error."""
        count = f"[{self.jobs_done:>{len(str(self.n_jobs))}}/{self.n_jobs}]".replace("[", r"\[")
        label = f"{record.spec.algo:<12} {record.spec.env} seed {record.spec.seed}"
        if record.status == "failed":
            assert record.error is not None
            # Shortened, as an error may print a whole batch; escaped, as "[/dev/shm]" would be read as markup.
            cause = textwrap.shorten(f"{record.error['type']}: {record.error['message']}", 300, placeholder=" ...")
            return f"{count} [red]failed[/red]   {label}: {escape(cause)}"
        fps = record.steps / record.train_seconds
        return (
            f"{count} [green]finished[/green] {label}: score {record.score:,.1f}, "
            f"{record.steps:,} steps at {fps:,.0f} fps, {clock(record.wall_seconds)}"
        )
