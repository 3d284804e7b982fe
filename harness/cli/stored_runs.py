"""Commands for results on disk: evaluate, watch, list, clean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.terminal import EXIT_INTERRUPTED, EXIT_NO, console, cores, duration, names, seeds_of

__all__ = ["clean", "evaluate", "list_", "watch"]

MAX_EVALUATION_SEED = 2_000_000
"""Largest seed K of an evaluation: environments are seeded with 2,000,000 + 1,000 K, which must stay below 2**32."""

Folders = Annotated[
    list[Path], typer.Argument(help="Folder of a run, or of results for all runs in it.", metavar="RUN_DIR")
]
Best = Annotated[
    bool, typer.Option("--best", help="Take the best model by the evaluations during training, not the last one.")
]
Stochastic = Annotated[
    bool, typer.Option("--stochastic", help="Draw actions from the policy; default: the most probable action.")
]
OtherEnv = Annotated[
    str | None, typer.Option("--env", help="Play another environment with the same spaces, a Gymnasium id.")
]
Trust = Annotated[
    list[str] | None,
    typer.Option(help="Package that the records may import, such as your own; can be given several times."),
]
TrustPickle = Annotated[
    bool,
    typer.Option(
        "--trust-pickle",
        help="Unpickle files of SB3 or rl_zoo3, which runs any code in them: only if you trust their author.",
    ),
]


def evaluate(
    folders: Folders,
    episodes: Annotated[
        int | None, typer.Option(min=1, help="Episodes for each seed. Default: as many as in the final evaluation.")
    ] = None,
    stochastic: Stochastic = False,
    env: OtherEnv = None,
    seed: Annotated[
        str | None,
        typer.Option(
            help="Start states of the final evaluations of these seeds: one, or a range such as 100-109. "
            "Default: each run's own seed."
        ),
    ] = None,
    best: Best = False,
    workers: Annotated[
        int | None, typer.Option("--workers", "-j", min=1, help="Number of runs in parallel. Default: one per core.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write settings, scores and every episode into this file.")
    ] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write one line per run into this file.")] = None,
    video: Annotated[
        Path | None, typer.Option(help="Film the best, median and worst seed; a file .gif or .mp4.")
    ] = None,
    time_limit: Annotated[
        str | None,
        typer.Option(help="Time of a run, as 90, 30m or 2h. Default: an hour, and ten seconds for each episode."),
    ] = None,
    trust: Trust = None,
    trust_pickle: TrustPickle = False,
) -> None:
    """Evaluate trained agents again: another number of episodes, other seeds, another environment.

    Without options, the rewards are those of each run's final evaluation, to the last bit. Runs that failed or are
    missing are named and change no number. Exit code 1 if no run could be evaluated.
    """
    from harness.evaluation.command import run_evaluation
    from harness.training.executors.stopping import stop_on_signals

    settings = _settings(episodes, stochastic, env, seed, best, trust, trust_pickle)
    limit = None if time_limit is None else duration(time_limit, "--time-limit")
    terminal = console()
    try:
        with stop_on_signals():  # SIGTERM and SIGHUP must end the processes that evaluate, too
            evaluations = run_evaluation(
                terminal,
                folders,
                settings,
                workers or cores(),
                json_file=json_file,
                csv_file=csv_file,
                video=video,
                time_limit=limit,
            )
    except KeyboardInterrupt as interruption:
        terminal.print("interrupted: there is no result, and nothing was written")
        raise typer.Exit(128 + getattr(interruption, "number", EXIT_INTERRUPTED - 128)) from None
    if not any(evaluation.rewards for evaluation in evaluations):
        raise typer.Exit(EXIT_NO)


def watch(
    folders: Folders,
    out: Annotated[Path | None, typer.Option(help="File .gif or .mp4. Default: watch.gif in the folder.")] = None,
    stochastic: Stochastic = False,
    env: OtherEnv = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=MAX_EVALUATION_SEED, help="Seed of the episode. Default: each run's own.")
    ] = None,
    best: Best = False,
    workers: Annotated[int | None, typer.Option("--workers", "-j", min=1, help="Number of processes.")] = None,
    trust: Trust = None,
) -> None:
    """Film trained agents: the best, the median and the worst seed of each algorithm, side by side.

    The film shows the first episode of each run's final evaluation, at most 20 seconds of it. With several
    environments there is a film for each.
    """
    from harness.evaluation.command import run_watch

    settings = _settings(1, stochastic, env, None if seed is None else str(seed), best, trust, False)
    terminal = console()
    try:
        run_watch(terminal, folders, settings, out, workers or cores())
    except KeyboardInterrupt:
        terminal.print("interrupted: there is no film")
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _settings(
    episodes: int | None,
    stochastic: bool,
    env: str | None,
    seed: str | None,
    best: bool,
    trust: list[str] | None,
    trust_pickle: bool,
) -> Any:
    """Return the EvaluationSettings of these options; raise typer.BadParameter for seeds that are too large."""
    from harness.evaluation.settings import EvaluationSettings

    # Not a count here: the option is named after one seed.
    seeds = None if seed is None else (int(seed),) if seed.isascii() and seed.isdigit() else seeds_of(seed, "--seed")
    if seeds is not None and seeds[-1] > MAX_EVALUATION_SEED:
        raise typer.BadParameter(f"expected seeds up to {MAX_EVALUATION_SEED:,}, got {seed!r}", param_hint="--seed")
    return EvaluationSettings(
        episodes=episodes,
        deterministic=not stochastic,
        env=env,
        seeds=seeds,
        snapshot="best" if best else "final",
        trusted=tuple(names(trust)),
        trust_pickle=trust_pickle,
    )


def list_(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders with results, of one or many experiments. Default: results.", metavar="DIR"),
    ] = None,
) -> None:
    """Show what is there: experiments, runs that are done, failed, missing or stale, steps, time and sizes.

    Stale are finished runs whose settings are not those of experiment.yml. Nothing is changed.
    """
    from harness.housekeeping.listing import list_experiments

    list_experiments(folders or [Path("results")], console())


def clean(
    folder: Annotated[Path, typer.Argument(help="Folder with results, of one or many experiments.", metavar="DIR")],
    models: Annotated[
        bool, typer.Option("--models", help="Also remove the agents of finished runs: weights and statistics.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove the files; without it they are only listed.")] = False,
) -> None:
    """Remove what no result needs: interrupted runs, failed attempts, checkpoints of finished runs.

    A dry run unless --yes is given. Records and logs of finished runs always stay.
    """
    from harness.housekeeping.cleaning import clean as clean_folder

    clean_folder(folder, console(), models=models, yes=yes)
