"""Console, number of cores, and seeds: what several commands need."""

from __future__ import annotations

import os
from typing import Any

import typer

from harness.errors import HarnessError

__all__ = ["EXIT_INTERRUPTED", "EXIT_NO", "console", "cores", "duration", "names", "seeds_of"]

EXIT_NO = 1
"""Exit code for a negative result: a divergence, a failed run, an invalid configuration."""

EXIT_INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def console(*, stderr: bool = False) -> Any:
    """Return a console as wide as the terminal; files and pipes get 120 columns, enough for the tables."""
    from rich.console import Console

    found = Console(stderr=stderr)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = 120
    return found


def cores() -> int:
    """Return the number of cores that this process may use, which a container or taskset can limit."""
    affinity: Any = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def duration(text: str, option: str) -> float:
    """Return seconds from text such as 30m; raise BadParameter that names the option."""
    from harness.config.units import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def names(values: list[str] | None) -> list[str]:
    """Return the names in values, each of which may hold several, separated by commas."""
    return [name.strip() for value in values or () for name in value.split(",") if name.strip()]


def seeds_of(text: str, option: str = "--seeds") -> tuple[int, ...]:
    """Return seeds as in an experiment file: a count, a range or a list; raise BadParameter that names the option."""
    from harness.config.seeds import parse_seeds

    try:
        return parse_seeds(text)
    except HarnessError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
