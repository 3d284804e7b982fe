"""Commands for experiments: compare, train, check-config, schema."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.arguments import (
    Address,
    Check,
    Config,
    ExecutorName,
    JsonProgress,
    MemoryLimit,
    OpenPage,
    Out,
    Place,
    Retries,
    StallLimit,
    StorageOption,
    TimeLimit,
    Trust,
    Workers,
    open_page,
)
from harness.cli.terminal import EXIT_INTERRUPTED, EXIT_NO
from harness.cli.terminal import console as _console
from harness.cli.terminal import cores as _cores
from harness.errors import HarnessError

__all__ = ["check_config", "compare", "schema", "train"]


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
    place = Place(executor, address, storage)
    experiment = _with_limits(
        _validated(config, trust or (), check, json_progress), retries, time_limit, stall_limit, memory_limit
    )
    folder = out or Path("results") / experiment.name
    try:
        _run(experiment, folder, workers, place, json_progress)
    finally:  # a report that names failed runs is opened, too
        if open_:
            open_page(folder / "report.html")


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


def _run(experiment: Any, folder: Path, n_workers: int | None, place: Place, json_progress: bool) -> None:
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

    place = Place(executor, address, storage)
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


def schema() -> None:
    """Print the JSON schema of experiment files, with which editors complete and check them."""
    from harness.config.schema import schema_text

    print(schema_text(), end="")  # noqa: T201
