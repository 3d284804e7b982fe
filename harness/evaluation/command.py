"""`harness evaluate`: evaluate stored runs, print a table over seeds, and write JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from harness.errors import HarnessError
from harness.evaluation.settings import EvaluationSettings, RunEvaluation
from harness.evaluation.several_runs import Score, evaluate_runs, scores, spread
from harness.experiment.inventory import runs_at
from harness.experiment.run_records import write_text_atomically
from harness.housekeeping.sizes import size_text

__all__ = ["csv_text", "json_text", "print_scores", "problem_lines", "run_evaluation", "run_watch"]

MAX_PROBLEMS = 20
"""Number of reasons for missing results that are printed; all are in the files."""


def run_evaluation(
    console: Console,
    folders: Sequence[Path],
    settings: EvaluationSettings,
    n_workers: int,
    *,
    json_file: Path | None = None,
    csv_file: Path | None = None,
    video: Path | None = None,
    time_limit: float | None = None,
) -> list[RunEvaluation]:
    """Evaluate all runs in the folders, print their scores, write the files, and return the evaluations.

    video: GIF or MP4 of the best, median and worst seed of each algorithm.
    time_limit: seconds that one run may take; None for `default_time_limit`.

    Raises HarnessError if a folder holds no runs, if no run can be evaluated for one common reason, or if a file cannot
    be written.
    """
    for path in (json_file, csv_file):
        if path is not None and not path.parent.is_dir():
            raise HarnessError(f"{path}: the folder {path.parent} does not exist")
    runs = runs_at(folders)
    if video is not None:
        from harness.evaluation.film import films_of

        films_of(video, [run.env for run in runs])  # before hours of evaluation, as it refuses names of files
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task(f"evaluating {len(runs)} runs", total=len(runs))
        evaluations = evaluate_runs(runs, settings, n_workers, lambda _: progress.advance(bar), time_limit)
    reasons = {evaluation.error for evaluation in evaluations}
    if len(reasons) == 1 and "" not in reasons:  # such as a mistake in an option
        raise HarnessError(reasons.pop())
    print_scores(evaluations, settings, console)
    for path, text in ((json_file, json_text), (csv_file, csv_text)):
        if path is not None:
            try:
                write_text_atomically(path, text(evaluations, settings))
            except OSError as error:
                raise HarnessError(f"{path}: cannot be written ({error.strerror})") from error
    if video is not None and any(evaluation.rewards for evaluation in evaluations):
        _film(console, evaluations, settings, video, n_workers)
    return evaluations


def run_watch(
    console: Console, folders: Sequence[Path], settings: EvaluationSettings, out: Path | None, n_workers: int
) -> None:
    """Film the best, median and worst seed of each algorithm by the scores in their records.

    out: GIF or MP4; None for watch.gif in the first folder. Raises HarnessError if there is nothing to film.
    """
    runs = [run for run in runs_at(folders) if run.state == "finished"]
    if not runs:
        raise HarnessError(
            f"{folders[0]}: holds no finished run of the harness; for folders of other programs use "
            "`harness evaluate --trust-pickle --video FILE`"
        )
    scored = [
        RunEvaluation(str(run.path), run.algo, run.env, run.seed, run.record.final_rewards, run.record.final_lengths)
        for run in runs
        if run.record is not None
    ]
    _film(console, scored, settings, out or folders[0] / "watch.gif", n_workers)


def _film(
    console: Console, runs: Sequence[RunEvaluation], settings: EvaluationSettings, out: Path, n_workers: int
) -> None:
    from harness.evaluation.film import film_runs

    with console.status("playing and drawing") if console.is_terminal else Console(quiet=True):
        films = film_runs(runs, settings, out, n_workers)
    for path, errors in films.items():
        for error in errors:
            console.print(f"left out: {_shown(str(error))}", markup=False, highlight=False, soft_wrap=True)
        size = size_text(path.stat().st_size)
        console.print(f"film {path} ({size})", markup=False, highlight=False, soft_wrap=True)


def print_scores(evaluations: Sequence[RunEvaluation], settings: EvaluationSettings, console: Console) -> None:
    """Print a table for each environment, and the runs without a result, which are named but change no number."""
    console.print(_headline(evaluations, settings), markup=False, highlight=False, soft_wrap=True)
    for env, rows in groupby(scores(evaluations), key=lambda score: score.env):
        title = env if settings.env in (None, env) else f"{env}, evaluated in {settings.env}"
        grid = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        grid.add_column("algorithm", no_wrap=True)
        for header in ("runs", "mean over seeds", "95% interval", "lowest", "highest"):
            grid.add_column(header, justify="right")
        for score in rows:
            of_group = [e.score for e in evaluations if (e.algo, e.env) == (score.algo, env) and e.rewards]
            grid.add_row(*_cells(score, of_group))
        console.print(grid)
    groups = problem_lines(evaluations)
    for line in groups[:MAX_PROBLEMS]:
        console.print(f"no result: {line}", markup=False, highlight=False, soft_wrap=True)
    if len(groups) > MAX_PROBLEMS:
        console.print(f"... and {len(groups) - MAX_PROBLEMS} more reasons", highlight=False)


def problem_lines(evaluations: Sequence[RunEvaluation]) -> list[str]:
    """Return a line for each reason why runs have no result, with the runs that share it."""
    groups: dict[str, list[RunEvaluation]] = {}
    for evaluation in evaluations:
        if evaluation.error:
            groups.setdefault(_shown(evaluation.error), []).append(evaluation)
    return [f"{_several(group)}: {reason}" for reason, group in groups.items()]


def _several(group: Sequence[RunEvaluation]) -> str:
    """Return the names of runs: "ppo CartPole-v1 seeds 0, 1, 2", with a count where they are many."""
    if len({(e.algo, e.env) for e in group}) > 1 or len(group) > 12:
        first = group[0]
        return f"{len(group)} runs, the first {first.algo} {first.env} seed {first.seed}"
    seeds = ", ".join(str(e.seed) for e in group)
    return f"{group[0].algo} {group[0].env} seed{'s' if len(group) > 1 else ''} {seeds}"


def _headline(evaluations: Sequence[RunEvaluation], settings: EvaluationSettings) -> str:
    counts = {len(evaluation.rewards) for evaluation in evaluations if evaluation.rewards}
    n = f"{counts.pop()}" if len(counts) == 1 else "all" if counts else "no"
    model = "best" if settings.snapshot == "best" else "final"
    kind = "deterministic" if settings.deterministic else "stochastic"
    n_done = sum(bool(evaluation.rewards) for evaluation in evaluations)
    return f"{n_done} of {len(evaluations)} runs evaluated: {model} model, {n} {kind} episodes each"


def _cells(score: Score, values: Sequence[float]) -> list[str]:
    interval = score.interval
    runs = f"{interval.n}/{score.n_runs}" if interval.n_missing else f"{score.n_runs}"
    limits = "–" if math.isnan(interval.low) else f"{_number(interval.low)} to {_number(interval.high)}"
    extremes = [_number(min(values)), _number(max(values))] if values else ["–", "–"]
    return [score.algo, runs, _number(interval.estimate), limits, *extremes]


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.3g}"


def _shown(error: str) -> str:
    """Return the error as one printable line: messages of environments may hold anything."""
    text = "".join(c if c.isprintable() else " " for c in error)
    return text if len(text) <= 400 else f"{text[:397]}..."


def json_text(evaluations: Sequence[RunEvaluation], settings: EvaluationSettings) -> str:
    """Return settings, scores and every episode as JSON; a number that does not exist is null."""
    data = {
        "settings": asdict(settings),
        "scores": [
            {"algo": s.algo, "env": s.env, **{k: _or_none(v) for k, v in asdict(s.interval).items()}}
            for s in scores(evaluations)
        ],
        "runs": [{**asdict(e), "score": _or_none(e.score), "score_std": _or_none(spread(e))} for e in evaluations],
    }
    return json.dumps(data, indent=1) + "\n"


def csv_text(evaluations: Sequence[RunEvaluation], settings: EvaluationSettings) -> str:
    """Return one line per run with every digit of its score."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ("algo", "env", "seed", "evaluated_in", "model", "deterministic", "n_episodes", "score", "score_std", "error",
         "path")
    )  # fmt: skip
    for e in evaluations:
        evaluated = settings.env or e.env
        score, deviation = ("", "") if math.isnan(e.score) else (repr(e.score), repr(spread(e)))
        row = e.algo, e.env, e.seed, evaluated, settings.snapshot, settings.deterministic, len(e.rewards)
        writer.writerow((*row, score, deviation, _shown(e.error), e.path))
    return file.getvalue()


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
