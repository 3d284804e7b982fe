"""Command `harness crosscheck`: run a cross-check, print its result, write the files.

Heavy modules are imported where they are needed, so that wrong arguments are refused at once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console

from harness.errors import ConfigError, HarnessError

if TYPE_CHECKING:
    from harness.crosscheck.reporting.results import Crosscheck

__all__ = ["run_crosscheck"]


def run_crosscheck(
    console: Console,
    subject: str,
    reference: str,
    *,
    profile: str,
    envs: Sequence[str],
    hyperparameters: Path | None,
    json_file: Path | None,
    figure: Path | None,
    **options: Any,
) -> str:
    """Run a cross-check, print its result and write the files; return the verdict: identical, rounding or different.

    hyperparameters: zoo-style file whose settings replace the profile's. json_file, figure: where to write the result.
    options: further arguments of `crosscheck`. Raises HarnessError before anything is run if a path cannot be used.
    """
    from harness.catalogue import CATALOGUE
    from harness.crosscheck.api import crosscheck
    from harness.crosscheck.profiles import named_profile, profile_of_file
    from harness.crosscheck.reporting.json_format import as_json
    from harness.crosscheck.reporting.rendering import as_text

    _check_writable(json_file, figure)
    chosen = named_profile(profile)
    if hyperparameters is not None:
        if not envs:
            raise HarnessError("--hyperparameters needs --env: the environments whose entries of the file are used")
        if not hyperparameters.is_file():
            problem = "is a folder, expected a YAML file" if hyperparameters.is_dir() else "does not exist"
            raise ConfigError(f"{hyperparameters}: {problem}")
        chosen = profile_of_file(hyperparameters, envs, reference)
    with console.status(f"comparing {subject} with {reference} ..."):
        result = crosscheck(subject, reference, profile=chosen, envs=envs, **options)
    console.print(as_text(result, {deviation.id: deviation for deviation in CATALOGUE}), highlight=False)
    if json_file is not None:
        _write(json_file, json.dumps(as_json(result), indent=1) + "\n")
    if figure is not None:
        _draw(result, figure)
    return result.verdict


def _check_writable(*paths: Path | None) -> None:
    """Raise HarnessError if a file cannot be written, before a long run is started whose result would be lost."""
    for path in paths:
        if path is not None and not path.resolve().parent.is_dir():
            raise HarnessError(f"{path} cannot be written: there is no folder {path.resolve().parent}")
        if path is not None and path.is_dir():
            raise HarnessError(f"{path} cannot be written: it is a folder, a file was expected")


def _draw(result: Crosscheck, path: Path) -> None:
    """Draw the largest difference of every seed and minibatch, as SVG and PNG."""
    from harness.analysis.plots.divergence_figure import divergence_map
    from harness.analysis.plots.style import save_figure

    rows = [
        (run.env, run.seed, iteration, minibatch, size)
        for run in result.runs
        for iteration, minibatch, size in run.largest
    ]
    frame = pd.DataFrame(rows, columns=["env", "seed", "iteration", "minibatch", "largest"])
    try:
        stem = path.with_suffix("") if path.suffix in (".svg", ".png") else path
        save_figure(divergence_map(frame, result.subject, result.reference), stem)
    except OSError as error:
        raise HarnessError(f"{path} cannot be written: {error.strerror}") from error


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"{path} cannot be written: {error.strerror}") from error
