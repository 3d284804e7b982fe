"""The command line: parse, then call one function. Heavy imports wait until a command needs them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.errors import HarnessError

__all__ = ["app", "main"]

EXIT_NO = 1
"""The answer is no: a divergence, a failed run, an invalid configuration."""

EXIT_INTERRUPTED = 130

MOST_SEEDS = 10_000
"""Of one call of crosscheck: more is taken for a slip of the finger."""

app = typer.Typer(
    help="Train PPO implementations under identical conditions, check them against SB3, and compare them honestly.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Config = Annotated[Path, typer.Argument(help="The experiment, such as configs/compare.yml.", metavar="CONFIG")]
Workers = Annotated[
    int | None, typer.Option("--workers", "-j", min=1, help="Runs at the same time; default: one per core.")
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the results; default: results/NAME.")]


def main() -> None:
    """Entry point of the console script `harness`; mistakes of the user end it with one line and exit code 1."""
    try:
        app()
    except HarnessError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_NO)
    except KeyboardInterrupt:  # between the commands' own answers to it, such as while modules are loaded
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  it lives until the process ends
        sys.exit(EXIT_NO)


@app.command()
def compare(config: Config, workers: Workers = None, out: Out = None) -> None:
    """Train every algorithm on every environment under every seed; then tables and figures.

    Finished runs are kept: run the same command again after an interruption, and only what is missing is done.
    Exit code 1 when a run failed.
    """
    from harness.config import load_config

    experiment = load_config(config)
    _run(experiment, out or Path("results") / experiment.name, workers or _cores())


def _run(experiment: Any, folder: Path, n_workers: int) -> None:
    """Run what is missing of the experiment; ends with EXIT_NO when a run failed, EXIT_INTERRUPTED after Ctrl-C."""
    from harness.main_job import compare as compare_experiment

    console = _console()
    try:
        failed = compare_experiment(experiment, folder, n_workers, console)
    except KeyboardInterrupt:
        console.print(
            f"interrupted: every finished run is kept in {folder}; run the same command again to go on",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if failed:
        console.print(
            f"{failed} run{'s' if failed > 1 else ''} failed: see error in {folder / 'tables' / 'runs.csv'}, "
            "and the traceback in the run.json of each",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(EXIT_NO)


@app.command()
def train(
    algo: Annotated[str, typer.Option(help="A registered name such as custom_ppo, or package.module:Class.")],
    env: Annotated[str, typer.Option(help="Gymnasium id, such as CartPole-v1.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the networks, actions, minibatches and environments.")] = 0,
    n_timesteps: Annotated[
        int | None, typer.Option(min=1, help="Environment steps; default: what the hyperparameters say.")
    ] = None,
    hyperparameters: Annotated[
        str, typer.Option(help="A zoo-style file, or `zoo` for that of the installed rl_zoo3.")
    ] = "zoo",
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results/train"),
) -> None:
    """Train one run and evaluate it; the folder has the same layout as those of `compare`."""
    from harness.experiment.single_run import single_run

    _run(single_run(algo, env, seed, n_timesteps, hyperparameters), out, 1)


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs: ours, or logs of SB3 or rl_zoo3.")],
    out: Annotated[Path | None, typer.Option(help="Where to write; default: the folder, if it is only one.")] = None,
) -> None:
    """Make tables and figures anew from what is on disk, without training anything."""
    from harness.analysis.report import report_folders, write_report
    from harness.config import StatisticsConfig, load_config
    from harness.main_job import EXPERIMENT_NAME

    if out is None and len(folders) > 1:
        raise typer.BadParameter("several folders need --out, the folder to write to")
    experiment = folders[0] / EXPERIMENT_NAME
    config = load_config(experiment) if experiment.exists() else None
    if config is not None and len(folders) == 1:  # the plan tells which runs are missing, and which no longer count
        write_report(config, folders[0] / "runs", out or folders[0], _console())
    else:
        statistics = StatisticsConfig() if config is None else config.statistics
        report_folders(folders, statistics, out or folders[0], _console())


@app.command()
def crosscheck(
    subject: Annotated[str, typer.Argument(help="A registered name, or package.module:Class.", metavar="SUBJECT")],
    reference: Annotated[str, typer.Option(help="What it is held against: ppo, a2c, or any other algorithm.")] = "ppo",
    env: Annotated[
        list[str] | None, typer.Option(help="Gymnasium id; may be given several times. Default: the profile's.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="A range such as 0-9, or one seed.")] = "0-4",
    profile: Annotated[
        str, typer.Option(help="Settings: stress makes mistakes visible, default has SB3's default hyperparameters.")
    ] = "stress",
    hyperparameters: Annotated[
        Path | None, typer.Option(help="Settings of your own: a zoo-style YAML file with an entry for each --env.")
    ] = None,
    updates: Annotated[int | None, typer.Option(min=1, help="Updates to compare. Default: the profile's.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Search for the causes of what differs.")] = False,
    seconds: Annotated[float, typer.Option(min=1, help="For how long to search.")] = 120.0,
    copy_weights: Annotated[
        bool, typer.Option("--copy-weights", help="Start from the reference's first weights and random state.")
    ] = False,
    resync: Annotated[
        bool, typer.Option(help="Look at each stage with right inputs, too, so that no mistake hides the next.")
    ] = True,
    allow_rounding: Annotated[
        bool, typer.Option("--allow-rounding", help="Exit code 0 also where nothing but rounding differs.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one for each core.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything that was found there.")] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw seeds by updates: the largest difference; writes FIGURE.svg and .png.")
    ] = None,
) -> None:
    """Hold a PPO against SB3's running code, number by number: where they part, and why.

    Exit code 0: bit for bit equal; 1: something differs.
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
            seeds=tuple(_seed_range(seeds)),
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
        console.print("interrupted: there is no answer yet, and nothing was written")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if verdict != "identical" and not (allow_rounding and verdict == "rounding"):
        raise typer.Exit(EXIT_NO)


def _seed_range(text: str) -> range:
    first, _, last = text.partition("-")
    try:
        seeds = range(int(first), int(last or first) + 1)
    except ValueError:
        seeds = range(0)
    if not seeds:
        raise typer.BadParameter(f"expected a range such as 0-9 or one seed, got {text!r}", param_hint="--seeds")
    if seeds[-1] >= 2**32 or seeds[-1] - seeds[0] >= MOST_SEEDS:
        raise typer.BadParameter(
            f"expected at most {MOST_SEEDS:,} seeds, each below 2**32, got {text!r}", param_hint="--seeds"
        )
    return seeds


@app.command()
def bench(
    env: Annotated[list[str] | None, typer.Option(help="Gymnasium id; may be given several times.")] = None,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of runs, one of each implementation in turn.")] = 5,
    n_timesteps: Annotated[int, typer.Option(min=1, help="Environment steps of each run.")] = 20_000,
) -> None:
    """Measure the speed of custom PPO against SB3 PPO: in turns, as ratios, the median of the pairs."""
    from harness.training.bench import bench_table
    from harness.training.executors.local import call_in_worker

    found = call_in_worker(
        "harness.training.bench_worker:measure", tuple(env or ("CartPole-v1", "Pendulum-v1")), pairs, n_timesteps
    )
    _console().print(bench_table(found))


@app.command("check-config")
def check_config(
    files: Annotated[list[Path], typer.Argument(help="Experiments to check; nothing is run.", metavar="FILE...")],
) -> None:
    """Say everything that is wrong with configuration files; exit code 1 when anything is."""
    from harness.config import check_config as problems_of
    from harness.config import load_config
    from harness.experiment.plan import plan

    n_problems = 0
    for file in files:
        problems = problems_of(file)
        n_problems += len(problems)
        for problem in problems:
            print(problem)  # noqa: T201
        if not problems:
            print(f"{file}: well, {len(plan(load_config(file)))} runs")  # noqa: T201
    if n_problems:
        raise typer.Exit(EXIT_NO)


def _console() -> Any:
    """The terminal as wide as it is; a file or a pipe gets lines long enough for the tables."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 120
    return console


def _cores() -> int:
    """Processors that this process may use, which a container or taskset may have limited."""
    affinity: Any = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


if __name__ == "__main__":
    main()
