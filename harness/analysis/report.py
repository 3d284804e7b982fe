"""From a folder of runs to its tables and figures, and the summary that ends on the terminal."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from harness.analysis import stats
from harness.analysis.frames import Results, load_results
from harness.analysis.plots import save_all
from harness.analysis.tables import (
    METRICS,
    compare_scores,
    compare_stability,
    display_table,
    pairwise_table,
    run_metrics,
    stability_table,
    summary_table,
    write_tables,
)
from harness.analysis.tables.summary import BOOTSTRAP_SEED
from harness.config import ExperimentConfig, StatisticsConfig
from harness.experiment.plan import RunSpec, plan

__all__ = ["report_folders", "write_report"]

COVERAGE_TRIALS = 500


def write_report(config: ExperimentConfig, runs_path: Path, out: Path, console: Console) -> None:
    """Tables and figures of an experiment, of the runs in its plan and no others; written below `out`."""
    specs = plan(config)
    results = load_results(runs_path, expected=specs)
    _write(_only(results, specs), config.statistics, out, console)


def report_folders(folders: Sequence[Path], statistics: StatisticsConfig, out: Path, console: Console) -> None:
    """The same for whatever runs are below the folders, ours or SB3's; raises RecordError when there are none."""
    _write(load_results(*folders), statistics, out, console)


def _only(results: Results, specs: Iterable[RunSpec]) -> Results:
    """The results without runs that the plan does not name, such as those of seeds since left out."""
    planned = pd.MultiIndex.from_tuples([(spec.algo, spec.env, spec.seed) for spec in specs])

    def keep(table: pd.DataFrame) -> pd.DataFrame:
        index = pd.MultiIndex.from_arrays([table["algo"].astype(str), table["env"].astype(str), table["seed"]])
        return table[index.isin(planned)].reset_index(drop=True)

    return Results(keep(results.runs), keep(results.episodes), keep(results.evaluations), keep(results.progress))


def _write(results: Results, statistics: StatisticsConfig, out: Path, console: Console) -> None:
    metrics = run_metrics(results, statistics)
    summary = summary_table(metrics, statistics)
    scores = compare_scores(metrics, statistics)
    tables = {
        "runs": metrics,
        "summary": summary,
        "pairwise": pairwise_table(scores, statistics),
        "stability": stability_table(compare_stability(metrics, statistics)),
    }
    written = write_tables(tables, _notes(metrics, statistics), out / "tables")
    with console.status("drawing the figures") if console.is_terminal else _nothing():
        written += save_all(
            results,
            out / "plots",
            window=statistics.smoothing_window,
            confidence=statistics.confidence,
            n_resamples=statistics.n_bootstrap,
            bootstrap_seed=BOOTSTRAP_SEED,
        )
    _print(tables, out, written, console)


def _nothing() -> Console:
    # A console is a context manager that shows nothing: outside a terminal a spinner would be noise in the log.
    return Console(quiet=True)


def _notes(metrics: pd.DataFrame, statistics: StatisticsConfig) -> dict[str, str]:
    """What a reader must know to trust the tables, below each of them."""
    percent = f"{100 * statistics.confidence:g}%"
    measures = "\n".join(f"- {metric.title} ({metric.better} is better): {metric.meaning}." for metric in METRICS)
    return {
        "summary": (
            f"The unit is a seed. Mean score: {percent} t interval over seeds. IQM: interquartile mean, {percent} "
            f"percentile bootstrap, {statistics.n_bootstrap:,} resamples. AUC: mean return of the evaluations over the "
            f"training, t interval. Last episodes: mean ± standard deviation of the last {statistics.last_episodes} "
            f"training episodes, averaged over seeds. Rolling variance: over {statistics.smoothing_window} episodes. "
            f"Seconds: training without evaluations.\n\n{_coverage_note(metrics, statistics)}"
        ),
        "pairwise": (
            f"First − second: {percent} Welch interval. p: two-sided exact permutation test of the means over seeds; "
            "(Holm): adjusted over all rows that were tested. P(improvement): how likely a new seed of the first "
            "scores higher than one of the second. Equivalence is judged within "
            f"{statistics.equivalence_margin:.0%} of (best minus random), as declared in the configuration."
        ),
        "stability": (
            "Each measure is one number per run; a policy that learns nothing is perfectly stable, so read this beside "
            f"the scores. All are tested by the exact permutation test, Holm-adjusted over all rows.\n\n{measures}"
        ),
    }


def _coverage_note(metrics: pd.DataFrame, statistics: StatisticsConfig) -> str:
    """What the intervals really cover for data of this size and shape, by simulation."""
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    found = []
    for _, runs in metrics.groupby(["env", "algo"], observed=True, sort=True):
        scores = runs["score"].dropna().to_numpy()
        if len(scores) < 2 or np.ptp(scores) == 0:
            continue
        covered = stats.coverage_for_data(
            [scores],
            lambda x: stats.mean_interval(x, statistics.confidence),
            lambda x: float(np.mean(x)),
            rng,
            COVERAGE_TRIALS,
        )
        found.append(covered.rate)
    if not found:
        return "Their real coverage cannot be simulated: no group has two different scores."
    return (
        f"For seeds as few as these and scores of these shapes, the t interval that is called "
        f"{statistics.confidence:.0%} covers the true mean in {min(found):.0%} to {max(found):.0%} of simulated "
        "experiments, depending on the row."
    )


def _print(tables: dict[str, pd.DataFrame], out: Path, written: Sequence[Path], console: Console) -> None:
    """The end of the terminal's output: for each environment a small table, and the verdicts in words."""
    header, rows = display_table("terminal", tables["summary"])
    for env, cells in itertools.groupby(rows, key=lambda row: row[0]):
        grid = Table(title=env, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in header[1:]:
            grid.add_column(column, justify="left" if column == "algorithm" else "right", no_wrap=column == "algorithm")
        for row in cells:
            grid.add_row(*row[1:])
        console.print(grid)
        for verdict in tables["pairwise"].query("env == @env").itertuples():
            console.print(_verdict_line(verdict), highlight=False)
        console.print()
    n_figures = sum(path.suffix == ".png" for path in written)
    for name, note in (
        ("tables", f"{len(tables)} as CSV, and as Markdown for people"),
        ("plots", f"{n_figures} figures, each as SVG and PNG"),
        ("runs", "everything that each run left"),
    ):
        console.print(f"{name:<7} {out / name}  ({note})", markup=False, highlight=False, soft_wrap=True)


STYLES = {"better": "green", "worse": "red", "identical": "green", "equivalent": "cyan", "inconclusive": "yellow"}
WORDS = {
    "better": "is better than",
    "worse": "is worse than",
    "identical": "is identical to",
    "equivalent": "is equivalent to",
}


def _verdict_line(row: Any) -> str:
    """One verdict as a sentence in colour: "custom_ppo is better than a2c: permutation test ..."."""
    words = WORDS.get(row.verdict, "against")
    answer = f"[{STYLES[row.verdict]}]{words}[/]" if row.verdict in WORDS else words
    inconclusive = "" if row.verdict in WORDS else f"[{STYLES[row.verdict]}]{row.verdict}[/], "
    return f"{row.first} {answer} {row.second}: {inconclusive}{row.reason}"
