"""Report of an experiment: tables, figures and a page as files, and a summary on the terminal."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from harness.analysis.audit_lines import print_audit
from harness.analysis.frames import Reading, Results, load_results
from harness.analysis.frames.places import find_places
from harness.analysis.page import PageInput, find_copies, render_page, without_copies
from harness.analysis.plots import draw_all
from harness.analysis.plots.save import write_captions
from harness.analysis.settings import check_names
from harness.analysis.sweep_report import compared_pairwise, report_sweeps
from harness.analysis.tables import (
    aggregate_tables,
    compare_scores,
    compare_stability,
    compare_task,
    display_table,
    has_parquet,
    information_metrics,
    pairwise_table,
    passage_table,
    passages,
    run_metrics,
    self_test_sentences,
    self_test_table,
    stability_table,
    summary_table,
    table_notes,
    task_table,
    time_to_threshold_table,
    with_information,
    write_tables,
)
from harness.analysis.tables.seed_estimates import BOOTSTRAP_SEED
from harness.config import ExperimentConfig, StatisticsConfig
from harness.errors import HarnessError
from harness.experiment.declaration import RuleHistory, rule_history
from harness.experiment.design import designs
from harness.experiment.plan import RunSpec, plan
from harness.experiment.run_records import write_text_atomically

__all__ = ["PAGE_NAME", "check_writable", "default_out", "planned_results", "report_folders", "write_report"]

PAGE_NAME = "report.html"
"""File in the folder of a report that holds all of it."""


def write_report(config: ExperimentConfig, runs_path: Path, out: Path, console: Console, *, pdf: bool = False) -> Path:
    """Write tables, figures and page of an experiment below `out`, computed from the runs in its plan only.

    pdf: also write every figure as PDF. Returns the path of the page. Raises RecordError or OSError.
    """
    return _write(
        planned_results(config, runs_path),
        config.statistics,
        out,
        console,
        title=f"Comparison: {config.name}",
        config=config,
        rule=rule_history(config, runs_path.parent),
        pdf=pdf,
    )


def planned_results(config: ExperimentConfig, runs_path: Path) -> Results:
    """Return the runs in the plan of an experiment, those that are missing included; raise RecordError."""
    specs = plan(config)
    return _only_planned(load_results(runs_path, expected=specs), specs)


def report_folders(
    folders: Sequence[Path],
    statistics: StatisticsConfig,
    out: Path,
    console: Console,
    reading: Reading | None = None,
    *,
    pdf: bool = False,
) -> Path:
    """Write tables, figures and page of all runs below the folders, of this harness or of other programs, below `out`.

    What was understood of each file is printed and written as the table `audit`.
    pdf: also write every figure as PDF. Returns the path of the page.
    Raises RecordError if there are no runs, HarnessError if `out` cannot be written.
    """
    results = load_results(*folders, reading=reading or Reading())
    notes = check_names(statistics, results)
    check_writable(out)
    print_audit(results.audit, notes, out / "tables" / "audit.csv", console)
    names = ", ".join(folder.resolve().name for folder in folders[:3])
    title = f"Report on {names}" + (f" and {len(folders) - 3} more folders" if len(folders) > 3 else "")
    return _write(results, statistics, out, console, title=title, config=None, pdf=pdf, audit=results.audit)


def default_out(folders: Sequence[Path]) -> Path:
    """Return the folder for a report on one folder: itself for results of the harness, reports/NAME for other logs.

    Nothing is written among logs of other programs unless the user says so: raises HarnessError, which asks for --out,
    where the working directory lies within them.
    """
    folder = folders[0]
    if folder.is_dir() and any(place.has_record for place in find_places(folder)[0]):
        return folder
    out = Path("reports") / (folder.resolve().stem if folder.is_file() else folder.resolve().name)
    if folder.is_dir() and out.resolve().is_relative_to(folder.resolve()):
        raise HarnessError(f"{folder}: the report would be written among the logs; say where, such as --out ../report")
    return out


def check_writable(out: Path) -> None:
    """Make the folder of a report; raise HarnessError, in one line, if that is impossible."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise HarnessError(f"{out}: cannot be written ({error.strerror}); choose another folder with --out") from error


def _only_planned(results: Results, specs: Iterable[RunSpec]) -> Results:
    """Return the results without runs outside the plan, such as seeds that have been removed from it since."""
    planned = pd.MultiIndex.from_tuples([(spec.algo, spec.env, spec.seed) for spec in specs])

    def keep(table: pd.DataFrame) -> pd.DataFrame:
        index = pd.MultiIndex.from_arrays([table["algo"].astype(str), table["env"].astype(str), table["seed"]])
        return table[index.isin(planned)].reset_index(drop=True)

    audit = results.audit  # of all files
    return Results(keep(results.runs), keep(results.episodes), keep(results.evaluations), keep(results.progress), audit)


def _write(
    results: Results,
    statistics: StatisticsConfig,
    out: Path,
    console: Console,
    *,
    title: str,
    config: ExperimentConfig | None,
    pdf: bool,
    rule: RuleHistory | None = None,
    audit: pd.DataFrame | None = None,
) -> Path:
    metrics = with_information(run_metrics(results, statistics), results, statistics)
    sweeps = () if config is None else designs(config)
    paired = compared_pairwise(metrics, sweeps, statistics)
    scores = compare_scores(paired, statistics)
    tables = {
        "runs": metrics,
        "summary": summary_table(metrics, statistics),
        "pairwise": pairwise_table(scores, statistics),
        "stability": stability_table(compare_stability(paired, statistics)),
        "self_test": self_test_table(paired, statistics),
    }
    task = compare_task(paired, statistics, information_metrics(results))
    if task:
        tables["task"] = task_table(task)
    found = passages(results, statistics)
    if len(found):
        tables["time_to_threshold"] = time_to_threshold_table(found, statistics)
        tables["time_pairs"] = passage_table(found, paired, statistics)
    over_tasks = aggregate_tables(paired, scores, statistics)
    tables |= over_tasks
    if audit is not None:
        tables["audit"] = audit
    notes = table_notes(metrics, statistics)
    write_tables(tables, notes, out / "tables")
    copies = find_copies(tables["pairwise"])
    if over_tasks:
        over_tasks["aggregate_pairs"] = without_copies(over_tasks["aggregate_pairs"], copies)
    with console.status("drawing the figures") if console.is_terminal else _quiet():
        figures = draw_all(
            results,
            out / "plots",
            pdf=pdf,
            window=statistics.smoothing_window,
            confidence=statistics.confidence,
            n_resamples=statistics.n_bootstrap,
            bootstrap_seed=BOOTSTRAP_SEED,
            pairwise=copies.without_repeats(tables["pairwise"]),
            stability=copies.without_repeats(tables["stability"]),
            passages=found,
            **over_tasks,
        )
        swept = report_sweeps(sweeps, metrics, statistics, out, pdf=pdf)
        if swept is not None:
            figures += swept.figures
            write_captions(figures, out / "plots")
    shown = tables if swept is None else {**tables, "sweep": swept.effects}
    told = {} if swept is None else swept.findings
    content = PageInput(title, results.runs, shown, notes, scores, figures, statistics, config, rule, told)
    page = out / PAGE_NAME
    write_text_atomically(page, render_page(content))
    _print(tables, out, len(figures), console, rule)
    for place, text in told.items():
        console.print(f"\n{place}: {text}", markup=False, highlight=False)
    return page


def _quiet() -> Console:
    # A console is a context manager that shows nothing: outside a terminal a spinner would be noise in the log.
    return Console(quiet=True)


def _print(
    tables: dict[str, pd.DataFrame], out: Path, n_figures: int, console: Console, rule: RuleHistory | None
) -> None:
    """Print a small table and the verdicts for each environment, and where everything was written."""
    header, rows = display_table("terminal", tables["summary"])
    for env, cells in itertools.groupby(rows, key=lambda row: row[0]):
        grid = Table(title=env, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in header[1:]:
            grid.add_column(column, justify="left" if column == "algorithm" else "right", no_wrap=column == "algorithm")
        for row in cells:
            grid.add_row(*row[1:])
        console.print(grid)
        for comparison in tables["pairwise"].query("env == @env").to_dict("records"):
            console.print(_verdict_line(comparison), highlight=False)
        console.print()
    parquet = " and Parquet" if has_parquet() else " (the extra `parquet` adds Parquet)"
    if rule is not None and rule.changes:
        console.print(f"rule    {rule.sentence}", markup=False, highlight=False, soft_wrap=True)
    for sentence in self_test_sentences(tables["self_test"]):
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    for name, note in (
        ("tables", f"{len(tables)} as CSV{parquet}, and as Markdown and LaTeX for people"),
        ("plots", f"{n_figures} figures, each as SVG and PNG"),
        ("runs", "everything that each run left"),
    ):
        # Logs of other programs lie elsewhere: only results of the harness have a folder runs.
        if (out / name).is_dir() and (name != "runs" or "audit" not in tables):
            console.print(f"{name:<7} {out / name}  ({note})", markup=False, highlight=False, soft_wrap=True)
    place = f"page    {out / PAGE_NAME}  (all of this in one file, for any browser)"
    console.print(place, markup=False, highlight=False, soft_wrap=True)


STYLES = {"better": "green", "worse": "red", "identical": "green", "equivalent": "cyan", "inconclusive": "yellow"}
WORDS = {
    "better": "is better than",
    "worse": "is worse than",
    "identical": "is identical to",
    "equivalent": "is equivalent to",
}


def _verdict_line(row: dict[Any, Any]) -> str:
    """Return a row of the pairwise table as a coloured sentence: "custom_ppo is better than a2c: permutation ..."."""
    outcome = row["verdict"]
    style = STYLES[outcome]
    measure = f"{row['measure']}: " if "measure" in row else ""
    if outcome in WORDS:
        return f"{measure}{row['first']} [{style}]{WORDS[outcome]}[/] {row['second']}: {row['reason']}"
    return f"{measure}{row['first']} against {row['second']}: [{style}]{outcome}[/], {row['reason']}"
