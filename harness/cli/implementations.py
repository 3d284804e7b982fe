"""Commands that hold an implementation against SB3's: crosscheck, bench."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import EXIT_INTERRUPTED, EXIT_NO
from harness.cli.terminal import console as _console
from harness.cli.terminal import cores as _cores
from harness.cli.terminal import names as _names
from harness.cli.terminal import seeds_of as _seeds

__all__ = ["bench", "crosscheck"]


def crosscheck(
    subject: Annotated[
        str,
        typer.Argument(help="Implementation under test: registered name, or package.module:Class.", metavar="SUBJECT"),
    ],
    reference: Annotated[str, typer.Option(help="Algorithm to compare with: ppo, a2c, or any other.")] = "ppo",
    env: Annotated[
        list[str] | None, typer.Option(help="Gymnasium id; can be given several times. Default: the profile's.")
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="Count (5: the seeds 0 to 4), range (0-9; one seed: 7-7), or list (0,3,7).")
    ] = "0-4",
    profile: Annotated[
        str, typer.Option(help="Settings of the runs: `stress` makes mistakes visible, `default` is SB3's defaults.")
    ] = "stress",
    hyperparameters: Annotated[
        Path | None, typer.Option(help="Zoo-style YAML file with an entry for each --env, used instead of the profile.")
    ] = None,
    updates: Annotated[
        int | None, typer.Option(min=1, help="Number of updates to compare. Default: the profile's.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Search the catalogue for the mistakes that explain a divergence.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=1, help="Time limit of --explain, in seconds.")] = 120.0,
    copy_weights: Annotated[
        bool, typer.Option("--copy-weights", help="Start with the initial weights and random state of the reference.")
    ] = False,
    resync: Annotated[
        bool,
        typer.Option(
            help="Also run each stage with the reference's inputs, so that one mistake does not hide another."
        ),
    ] = True,
    allow_rounding: Annotated[
        bool, typer.Option("--allow-rounding", help="Exit code 0 also if nothing differs beyond rounding.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="Number of torch threads.")] = 1,
    workers: Annotated[int | None, typer.Option(min=1, help="Number of processes. Default: one per core.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the whole result into this file.")] = None,
    figure: Annotated[
        Path | None,
        typer.Option(help="Draw the largest difference for each seed and update; writes FIGURE.svg and .png."),
    ] = None,
) -> None:
    """Compare everything that an implementation computes with SB3: find the first divergence, and its cause.

    Exit code 0 if all compared arrays are bit-identical, 1 if any differs.
    """
    from harness.crosscheck.command import run_crosscheck

    console = _console()
    try:
        verdict = run_crosscheck(
            console,
            subject,
            reference,
            profile=profile,
            envs=tuple(env or ()),
            hyperparameters=hyperparameters,
            seeds=_seeds(seeds),
            updates=updates,
            explain=explain,
            seconds=seconds,
            copy_weights=copy_weights,
            resync=resync,
            threads=threads,
            workers=workers or _cores(),
            json_file=json_file,
            figure=figure,
        )
    except KeyboardInterrupt:
        console.print("interrupted: there is no result, and nothing was written")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if verdict != "identical" and not (allow_rounding and verdict == "rounding"):
        raise typer.Exit(EXIT_NO)


def bench(
    engine: Annotated[
        str, typer.Option(help="Engine of CustomPPO: auto, autograd, fused or native.", metavar="ENGINE")
    ] = "auto",
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Names of configurations or of measurements of whole experiments, separated by commas; can be given "
            "several times. `execution` stands for run-overhead, two-workers, many-runs and zoo-loop. Default: all."
        ),
    ] = None,
    pairs: Annotated[
        int, typer.Option(min=1, help="Number of pairs of runs, one of each implementation; two-workers: at most 3.")
    ] = 7,
    scale: Annotated[
        float,
        typer.Option(
            min=0, help="Multiple of the environment steps of every configuration, and of runs of experiments."
        ),
    ] = 1.0,
    parts: Annotated[
        bool, typer.Option(help="Also measure the parts of learn(), and the floor that no implementation can pass.")
    ] = True,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write machine, versions and all times into this file.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(help="File of an earlier --json: exit code 1 if a ratio fell by more than a quarter."),
    ] = None,
    peers: Annotated[
        Path | None,
        typer.Option(help="Folder with SBX and CleanRL, as in docs/speed.md: compare them with SB3, too."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Measure nothing; list the functions that one configuration spends its time in.")
    ] = None,
    show: Annotated[
        Path | None, typer.Option(help="Measure nothing; print the tables of this file of an earlier --json.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables in Markdown.")] = False,
) -> None:
    """Measure how much faster CustomPPO and CustomA2C train than SB3's algorithms, with the same bits.

    Whole trainings of both run alternately in one process with one torch thread; the ratio is the median over pairs.
    Experiments are timed as a whole, too: the overhead of a run, two workers against one, a thousand runs, and a shell
    loop over rl_zoo3. Exit code 1 if a weight differs after training, or if a ratio fell by more than a quarter.
    """
    # Set before torch is loaded, which reads them then.
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    from harness.bench.command import run_bench, run_profile, show_record

    if show is not None:
        show_record(_console(), show, markdown)
        return
    if profile is not None:
        run_profile(_console(), profile, engine)
        return
    verdict = run_bench(
        _console(),
        engine=engine,
        only=_names(only),
        pairs=pairs,
        scale=scale,
        parts=parts,
        json_file=json_file,
        baseline=baseline,
        peers=peers,
        markdown=markdown,
    )
    if verdict != "yes":
        raise typer.Exit(EXIT_INTERRUPTED if verdict == "interrupted" else EXIT_NO)
