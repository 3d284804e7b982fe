"""Commands that read results again: report, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.arguments import OpenPage, Trust, Workers, open_page
from harness.cli.terminal import EXIT_INTERRUPTED, EXIT_NO
from harness.cli.terminal import console as _console
from harness.cli.terminal import cores as _cores

__all__ = ["report", "verify"]


def report(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Folders with results, or with logs of SB3, rl_zoo3, CleanRL or others; or CSV files of scores.",
            metavar="FOLDER",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the report; required for several folders. Default: the folder itself for results of "
            "`compare`, reports/NAME for other logs."
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            help='Parts of the paths of other logs, such as "{algo}_{env}_seed{seed}". Default: guessed, and shown.'
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Steps at which other logs are compared; `common`: as many as all runs of an environment have."
        ),
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(help="Source of scores: `evaluations` or `episodes`. Default: the best that all runs have."),
    ] = None,
    statistics: Annotated[
        Path | None, typer.Option(help="File with the section `statistics` of an experiment, for other logs.")
    ] = None,
    confidence: Annotated[float | None, typer.Option(help="Confidence of intervals; the level is 1 minus it.")] = None,
    margin: Annotated[float | None, typer.Option(help="Equivalence margin, as a share of (best minus random).")] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(help="Reference scores of an environment; can be given several times.", metavar="ENV=RANDOM:BEST"),
    ] = None,
    baseline: Annotated[str | None, typer.Option(help="Algorithm with which every other is compared.")] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also write every figure as PDF.")] = False,
    open_: OpenPage = False,
) -> None:
    """Rebuild tables, figures and the page report.html from results on disk, without training.

    Logs of other programs are audited first: what was understood of every file, and what was left out and why, is
    printed and becomes a table of the report.
    """
    from harness.analysis.report import check_writable, default_out, report_folders, write_report
    from harness.analysis.settings import reading_of, statistics_of
    from harness.config import load_config
    from harness.main_job import EXPERIMENT_NAME

    if out is None and len(folders) > 1:
        raise typer.BadParameter("several folders need --out, the folder to write to")
    experiment = folders[0] / EXPERIMENT_NAME
    config = load_config(experiment) if experiment.exists() else None
    options: dict[str, object] = {"--confidence": confidence, "--margin": margin}
    options |= {"--reference": reference, "--baseline": baseline}
    if config is not None and len(folders) == 1:  # the plan decides which runs count, and which are missing
        options |= {"--pattern": pattern, "--budget": budget, "--score": score, "--statistics": statistics}
        if given := [name for name, value in options.items() if value is not None]:
            raise typer.BadParameter(f"{experiment} declares it before the runs", param_hint=given[0])
        check_writable(out or folders[0])
        page = write_report(config, folders[0] / "runs", out or folders[0], _console(), pdf=pdf)
    else:
        settings = statistics_of(
            statistics,
            confidence=confidence,
            margin=margin,
            references=reference or (),
            baseline=baseline,
            base=None if config is None else config.statistics,
        )
        reading = reading_of(pattern, budget, score)
        page = report_folders(folders, settings, out or default_out(folders), _console(), reading, pdf=pdf)
    if open_:
        open_page(page)


def verify(
    folder: Annotated[Path, typer.Argument(help="Folder with the results of `compare` or `train`.", metavar="FOLDER")],
    everything: Annotated[bool, typer.Option("--all", help="Repeat all finished runs, not one of them.")] = False,
    seed: Annotated[
        int | None, typer.Option(help="Number that chooses the run. Default: the choice is random.")
    ] = None,
    workers: Workers = None,
    trust: Trust = None,
) -> None:
    """Train a stored run again, in a temporary folder, and compare all its results bit by bit.

    Parameters, the final evaluation, evaluations during training, and returns of all episodes are compared; the line
    of a run that differs names the versions and other circumstances that differ. Exit code 1 if a run differs.
    """
    from harness.config import ExecutionConfig
    from harness.execution import end_server, executor_named
    from harness.verification import verify as verify_results

    console = _console()
    executor = executor_named("local", workers or _cores(), ExecutionConfig())
    try:
        n_different = verify_results(folder, console, executor, everything=everything, seed=seed, trusted=trust or ())
    except KeyboardInterrupt as interruption:
        end_server()
        console.print("interrupted")
        raise typer.Exit(128 + getattr(interruption, "number", EXIT_INTERRUPTED - 128)) from None
    if n_different:
        raise typer.Exit(EXIT_NO)
