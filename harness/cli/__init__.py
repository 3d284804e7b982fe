"""Parse the command line and call one function per command, which imports heavy packages only when it needs them.

terminal     the console, the number of cores, ranges of seeds
stored_runs  commands for results on disk: evaluate, watch, list, clean
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli import stored_runs
from harness.cli.terminal import EXIT_INTERRUPTED, EXIT_NO
from harness.cli.terminal import console as _console
from harness.cli.terminal import cores as _cores
from harness.cli.terminal import names as _names
from harness.cli.terminal import seeds_of as _seeds
from harness.errors import HarnessError

__all__ = ["app", "main"]

DISTRIBUTION = "ppo-harness"

app = typer.Typer(
    help="Train PPO implementations under identical conditions, check them against SB3, and compare them honestly.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
"""Command line as an application of Typer."""

Config = Annotated[
    Path, typer.Argument(help="Configuration file of the experiment, such as configs/compare.yml.", metavar="CONFIG")
]
Workers = Annotated[
    int | None, typer.Option("--workers", "-j", min=1, help="Number of runs in parallel. Default: one per core.")
]
Trust = Annotated[
    list[str] | None,
    typer.Option(
        "--trust", help="Package that the experiment may import; can be given several times.", metavar="PACKAGE"
    ),
]
Check = Annotated[
    bool,
    typer.Option("--check/--no-check", help="Try environments and algorithms out first, for a few steps."),
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for the results. Default: results/NAME.")]


def main() -> None:
    """Run the console script `harness`; a HarnessError is printed as one line and ends it with exit code 1."""
    try:
        app(prog_name="harness")
    except HarnessError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_NO)
    except KeyboardInterrupt:  # outside the commands' own handlers, such as while modules are loaded
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader of the output, such as `head`, has closed the pipe
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  it lives until the process ends
        sys.exit(EXIT_NO)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        import importlib.metadata

        try:
            version = importlib.metadata.version(DISTRIBUTION)
        except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
            version = "of unknown version"
        print(f"harness {version}")  # noqa: T201
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train PPO implementations under identical conditions, check them against SB3, and compare them honestly."""


OpenPage = Annotated[bool, typer.Option("--open", help="Open the page report.html in a browser.")]
Retries = Annotated[int | None, typer.Option(min=0, help="Times that a failed run is started again. Default: 0.")]
TimeLimit = Annotated[
    str | None,
    typer.Option(help="Time of a run, as 90, 30m or 2h. Default: an hour, and a second for each environment step."),
]
StallLimit = Annotated[
    str | None, typer.Option(help="Time of a run without any step of an environment or other progress. Default: 30m.")
]
MemoryLimit = Annotated[
    str | None, typer.Option(help="Memory of a run with its child processes, as 800M or 4G. Default: no limit.")
]
ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor",
        help="Where runs are executed: `local`, processes of this machine, or `ray`, a Ray cluster.",
        metavar="NAME",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(help="HOST:PORT of the Ray cluster's head. Default: the cluster of this machine.", metavar="ADDRESS"),
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        help="Folder that all machines of the cluster share, or its URL for fsspec, such as s3://bucket/folder.",
        metavar="PLACE",
    ),
]
JsonProgress = Annotated[
    bool, typer.Option("--json-progress", help="Print a JSON object per event on stdout, and all else on stderr.")
]


@app.command()
def compare(
    config: Config,
    workers: Workers = None,
    out: Out = None,
    executor: ExecutorName = "local",
    address: Address = None,
    storage: StorageOption = None,
    retries: Retries = None,
    time_limit: TimeLimit = None,
    stall_limit: StallLimit = None,
    memory_limit: MemoryLimit = None,
    json_progress: JsonProgress = False,
    trust: Trust = None,
    check: Check = True,
    open_: OpenPage = False,
) -> None:
    """Train every algorithm on every environment with every seed, then write tables, figures and report.html.

    Finished runs are kept: after an interruption, the same command runs only those that are missing. Ctrl-C lets
    running runs come to a safe end, a second one stops at once. Exit code 1 if a run failed.
    The limits override the section `execution` of the file.
    """
    place = _Place(executor, address, storage)
    experiment = _with_limits(
        _validated(config, trust or (), check, json_progress), retries, time_limit, stall_limit, memory_limit
    )
    folder = out or Path("results") / experiment.name
    try:
        _run(experiment, folder, workers, place, json_progress)
    finally:  # a report that names failed runs is opened, too
        if open_:
            _open(folder / "report.html")


def _validated(config: Path, trust: Sequence[str], check: bool, json_progress: bool) -> Any:
    """Return the experiment of a file; raise HarnessError with all its mistakes, and print notes."""
    from harness.training.executors.stopping import stop_on_signals
    from harness.validation import validate_file

    try:
        with stop_on_signals():  # SIGTERM and SIGHUP must end the processes that try out, too
            validation = validate_file(config, trusted=trust, try_out=check)
    except KeyboardInterrupt as interruption:
        print("interrupted: nothing was run yet")  # noqa: T201
        raise typer.Exit(128 + getattr(interruption, "number", EXIT_INTERRUPTED - 128)) from None
    if validation.config is None:
        raise HarnessError("\n".join(map(str, validation.problems)))
    _print_notes(validation, stderr=json_progress)
    return validation.config


def _print_notes(validation: Any, *, stderr: bool = False) -> None:
    stream = sys.stderr if stderr else sys.stdout
    for note in [*(f"{fault}; its runs are started all the same" for fault in validation.faults), *validation.notes]:
        print(f"note: {note}", file=stream)


def _with_limits(
    experiment: Any, retries: int | None, time_limit: str | None, stall_limit: str | None, memory_limit: str | None
) -> Any:
    """Return the experiment with the limits of the command line in place of its own."""
    from dataclasses import replace

    from harness.config.units import parse_duration, parse_size

    changes: dict[str, Any] = {} if retries is None else {"retries": retries}
    for name, text, parse in (
        ("time_limit", time_limit, parse_duration),
        ("stall_limit", stall_limit, parse_duration),
        ("memory_limit", memory_limit, parse_size),
    ):
        if text is not None:
            try:
                changes[name] = parse(text)
            except ValueError as error:
                raise typer.BadParameter(str(error), param_hint=f"--{name.replace('_', '-')}") from None
    return replace(experiment, execution=replace(experiment.execution, **changes))


@dataclass(frozen=True)
class _Place:
    """Executor of a command with the settings of its cluster; wrong usage raises BadParameter when it is made."""

    executor: str
    address: str | None
    storage: str | None

    def __post_init__(self) -> None:
        from harness.execution import check_executor

        try:
            check_executor(self.executor, address=self.address, storage=self.storage)
        except HarnessError as error:
            raise typer.BadParameter(str(error)) from None


def _run(experiment: Any, folder: Path, n_workers: int | None, place: _Place, json_progress: bool) -> None:
    """Run the missing runs of an experiment; exit with EXIT_NO if a run failed, 128 + N after the signal N."""
    from harness.execution import displays, end_server, executor_named
    from harness.main_job import compare as compare_experiment

    console = _console(stderr=json_progress)
    executor = executor_named(
        place.executor, n_workers, experiment.execution, address=place.address, storage=place.storage
    )
    try:
        failed = compare_experiment(
            experiment,
            folder,
            executor.n_workers,
            console,
            executor=executor,
            display_of=displays(json_progress),
            try_out=False,  # as the validation has done that, or the user has asked for none
        )
    except KeyboardInterrupt as interruption:
        end_server()
        console.print(
            f"interrupted: finished runs are kept in {folder}; run the same command again to continue, "
            f"or `harness report {folder}` for tables and figures of what is finished",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(128 + getattr(interruption, "number", EXIT_INTERRUPTED - 128)) from None
    if failed:
        table = folder / "tables" / "runs.csv"
        console.print(
            f"{failed} run{'s' if failed > 1 else ''} failed: see the column `error` of {table}, "
            "and the traceback in the run.json of each run",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(EXIT_NO)


@app.command()
def train(
    algo: Annotated[str, typer.Option(help="Registered name such as custom_ppo, or package.module:Class.")],
    env: Annotated[str, typer.Option(help="Gymnasium id, such as CartPole-v1.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the networks, actions, minibatches and environments.")] = 0,
    n_timesteps: Annotated[
        int | None, typer.Option(min=1, help="Environment steps to train. Default: n_timesteps of the hyperparameters.")
    ] = None,
    hyperparameters: Annotated[
        str, typer.Option(help="Zoo-style file, or `zoo` for the file of the installed rl_zoo3.")
    ] = "zoo",
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("results/train"),
    executor: ExecutorName = "local",
    address: Address = None,
    storage: StorageOption = None,
    retries: Retries = None,
    time_limit: TimeLimit = None,
    stall_limit: StallLimit = None,
    memory_limit: MemoryLimit = None,
    json_progress: JsonProgress = False,
    trust: Trust = None,
    check: Check = True,
) -> None:
    """Train and evaluate a single run; folder and options are those of `compare`."""
    from harness.experiment.single_run import in_words_of_the_command, read_single_run
    from harness.validation import validate

    place = _Place(executor, address, storage)
    # Whoever types the name of a package trusts it.
    named = [name.partition(":")[0].partition(".")[0] for name in (algo, env) if ":" in name]
    validation = validate(
        read_single_run(algo, env, seed, n_timesteps, hyperparameters),
        trusted=[*named, *(trust or ())],
        try_out=check,
    )
    if validation.config is None:
        raise HarnessError("\n".join(map(in_words_of_the_command, validation.problems)))
    _print_notes(validation, stderr=json_progress)
    experiment = _with_limits(validation.config, retries, time_limit, stall_limit, memory_limit)
    _run(experiment, out, 1, place, json_progress)


@app.command()
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
        _open(page)


def _open(page: Path) -> None:
    """Open a page in the user's browser; print a note if there is none."""
    import webbrowser

    if not (page.exists() and webbrowser.open(page.resolve().as_uri())):
        print(f"note: no browser could be started; open {page} in one")  # noqa: T201


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="Folder with the results of `compare` or `train`.", metavar="FOLDER")],
    everything: Annotated[bool, typer.Option("--all", help="Repeat all finished runs, not one of them.")] = False,
    seed: Annotated[
        int | None, typer.Option(help="Number that chooses the run. Default: the choice is random.")
    ] = None,
    workers: Workers = None,
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
        n_different = verify_results(folder, console, executor, everything=everything, seed=seed)
    except KeyboardInterrupt as interruption:
        end_server()
        console.print("interrupted")
        raise typer.Exit(128 + getattr(interruption, "number", EXIT_INTERRUPTED - 128)) from None
    if n_different:
        raise typer.Exit(EXIT_NO)


@app.command()
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


@app.command()
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


@app.command("check-config")
def check_config(
    files: Annotated[list[Path], typer.Argument(help="Configuration files to check.", metavar="FILE")],
    trust: Trust = None,
    check: Check = True,
    workers: Workers = None,
) -> None:
    """List all mistakes in configuration files; print what each would run, and how long it would take.

    Nothing is written. Environments and algorithms are tried out for a few steps, as `compare` does, and their speed is
    measured; with --no-check the file alone is read. Exit code 1 if there are mistakes.
    """
    from harness.overview import overview
    from harness.validation import validate_file

    n_problems = 0
    for file in files:
        validation = validate_file(file, trusted=trust or (), try_out=check, measure=check)
        mistakes = [*validation.problems, *validation.faults]
        n_problems += len(mistakes)
        for mistake in mistakes:
            print(mistake)  # noqa: T201
        if validation.config is not None and not mistakes:
            print(overview(validation.config, validation.speeds, workers or _cores()))  # noqa: T201
        for note in validation.notes:
            print(f"note: {note}")  # noqa: T201
    if n_problems:
        raise typer.Exit(EXIT_NO)


@app.command()
def schema() -> None:
    """Print the JSON schema of experiment files, with which editors complete and check them."""
    from harness.config.schema import schema_text

    print(schema_text(), end="")  # noqa: T201


app.command()(stored_runs.evaluate)
app.command()(stored_runs.watch)
app.command("list")(stored_runs.list_)
app.command()(stored_runs.clean)
