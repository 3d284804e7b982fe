"""Parse the command line and call one function per command, which imports heavy packages only when it needs them.

terminal         the console, the number of cores, ranges of seeds
stored_runs      commands for results on disk: evaluate, watch, list, clean
arguments        arguments and options that several commands share
experiments      commands for experiments: compare, train, check-config, schema
results          commands that read results again: report, verify
implementations  commands that hold an implementation against SB3's: crosscheck, bench
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from harness.cli import experiments, implementations, results, stored_runs
from harness.cli.terminal import EXIT_INTERRUPTED, EXIT_NO
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


app.command()(experiments.compare)
app.command()(experiments.train)
app.command()(results.report)
app.command()(results.verify)
app.command()(implementations.crosscheck)
app.command()(implementations.bench)
app.command("check-config")(experiments.check_config)
app.command()(experiments.schema)
app.command()(stored_runs.evaluate)
app.command()(stored_runs.watch)
app.command("list")(stored_runs.list_)
app.command()(stored_runs.clean)
