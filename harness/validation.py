"""Validate an experiment: its file, the packages that it names, and its environments and algorithms by trying them out.

`harness check-config` and `harness compare` call the same function, so that what the one accepts the other starts.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.config import ExperimentConfig, Reading, read_config
from harness.config.documents import Located, PlacedError
from harness.config.trust import untrusted_imports
from harness.experiment.plan import RunSpec
from harness.training.executors.calls import call_in_worker
from harness.training.findings import Finding, Speed, Trials

__all__ = ["Validation", "validate", "validate_file"]


@dataclass(frozen=True)
class Validation:
    """Result of validating an experiment."""

    config: ExperimentConfig | None
    """The experiment, or None if there are problems."""

    problems: tuple[PlacedError, ...]
    """All mistakes, each with its place; sorted by file and line."""

    notes: tuple[str, ...] = ()
    """Notes on what is unusual and prevents no run, one line each."""

    faults: tuple[PlacedError, ...] = ()
    """Environments that fail, hang or end their process when they are tried out: they cost their own runs only."""

    speeds: Mapping[tuple[str, str], Speed] = field(default_factory=dict)
    """(algorithm class, environment id) -> its speed, if it was measured."""


def validate_file(
    path: Path, *, trusted: Collection[str] = (), try_out: bool = True, measure: bool = False
) -> Validation:
    """Return the experiment that a file describes, or all its mistakes; see `validate`."""
    return validate(read_config(path), trusted=trusted, try_out=try_out, measure=measure)


def validate(
    reading: Reading, *, trusted: Collection[str] = (), try_out: bool = True, measure: bool = False
) -> Validation:
    """Return the experiment, or all its mistakes; nothing is written.

    trusted: packages that may be imported in addition to those of `config.trust`.
    try_out: build every environment and algorithm in a worker process, and make a few steps. What could be read is
    tried out also if there are mistakes in the rest of the file, but nothing of a package that is not trusted.
    measure: measure speeds, too.
    """
    untrusted = untrusted_imports(reading, trusted)
    trials = Trials()
    if try_out and reading.algorithms and reading.environments and not untrusted:
        trials = _try_out(reading, measure)
    problems = [*reading.problems, *untrusted, *_missing_packages(reading)]
    found = [finding for finding in trials.findings if finding.is_problem]
    problems += [_placed(finding, reading) for finding in found if not finding.may_be_chance]
    faults = [_placed(finding, reading) for finding in found if finding.may_be_chance]
    config = reading.config if not problems else None
    if config is not None and trusted:
        config = replace(config, trusted_packages=tuple(dict.fromkeys([*config.trusted_packages, *trusted])))
    notes = dict.fromkeys(_note(finding) for finding in trials.findings if not finding.is_problem)
    return Validation(config, _sorted(problems), tuple(notes), _sorted(faults), trials.speeds)


def _missing_packages(reading: Reading) -> list[PlacedError]:
    """Return a problem for each further log whose program is not installed."""
    return [
        place.error(f"{place.value} is not installed; the extra [{place.value}] of this project installs it")
        for place in reading.logging
        if importlib.util.find_spec(place.value) is None
    ]


def _sorted(problems: list[PlacedError]) -> tuple[PlacedError, ...]:
    """Return each message once, by file and line."""
    unique = {str(problem): problem for problem in problems}.values()
    files = dict.fromkeys(problem.file for problem in unique)
    order = {file: index for index, file in enumerate(files)}
    return tuple(sorted(unique, key=lambda problem: (order[problem.file], problem.line)))


def _try_out(reading: Reading, measure: bool) -> Trials:
    entries = reading.entries or {}
    environments = [(draft.env, _env_kwargs(draft.env, reading)) for draft in reading.environments]
    algorithms = {draft.algo_class: draft.label for draft in reversed(reading.algorithms)}
    classes = {draft.label: draft.algo_class for draft in reading.algorithms}
    specs = [
        RunSpec(
            label, classes[label], env, seed=0, n_timesteps=int(entry.values["n_timesteps"]), eval_freq=1,
            n_eval_episodes=1, n_final_episodes=1,
            hyperparams={key: value for key, value in entry.values.items() if key != "n_timesteps"},
        )
        for (label, env), entry in entries.items()
        if entry.is_valid
    ]  # fmt: skip
    trials: Trials = call_in_worker(
        "harness.training.trials:try_out",
        environments,
        [(label, algo_class) for algo_class, label in algorithms.items()],
        specs,
        measure and reading.config is not None,
        [place.value for place in reading.logging],
    )
    return trials


def _env_kwargs(env: str, reading: Reading) -> Any:
    """Return the arguments of an environment; they are the same for all algorithms, or reported as a mistake."""
    entries = reading.entries or {}
    given = (entry.values.get("env_kwargs") for (_, other), entry in entries.items() if other == env)
    return next((kwargs for kwargs in given if kwargs is not None), None)


def _placed(finding: Finding, reading: Reading) -> PlacedError:
    """Return a finding as a problem at the line that causes it."""
    return _place(finding, reading).error(finding.message)


def _place(finding: Finding, reading: Reading) -> Located:
    for (label, env), entry in (reading.entries or {}).items():
        is_meant = finding.env in {None, env} and finding.label in {None, label}
        if is_meant and finding.key is not None and finding.key in entry.places:
            return entry.places[finding.key]
    for algorithm in reading.algorithms:
        if algorithm.label == finding.label:
            return algorithm.place
    return next(environment.place for environment in reading.environments if environment.env == finding.env)


def _note(finding: Finding) -> str:
    return f"{finding.env}: {finding.message}" if finding.env is not None else finding.message
