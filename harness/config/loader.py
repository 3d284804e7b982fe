"""Load a configuration file as a validated `ExperimentConfig`, or list all its mistakes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

from harness.config.algorithm_list import read_algorithms
from harness.config.documents import Located, PlacedError, parse_document
from harness.config.drafts import AlgorithmDraft, EnvironmentDraft
from harness.config.experiment import (
    AlgorithmConfig,
    EnvironmentConfig,
    EvaluationConfig,
    ExecutionConfig,
    ExperimentConfig,
    StatisticsConfig,
)
from harness.config.files import read_text
from harness.config.hyperparams import parse_kwargs
from harness.config.labels import LABEL
from harness.config.merging import MAX_ENTRIES, Entries, merge_hyperparams, reject_unused
from harness.config.names import REGISTERED
from harness.config.reading import Reading
from harness.config.rules import describe, read_fields, read_value, reject_unknown
from harness.config.sections import (
    EVALUATION_RULES,
    EXECUTION_RULES,
    read_environments,
    read_logging,
    read_statistics,
    read_trusted_packages,
)
from harness.config.seeds import read_seeds
from harness.config.sources import open_sources
from harness.errors import ConfigError

__all__ = ["check_config", "load_config", "parse_config", "read_config"]

_REQUIRED = {
    "name": "the folder of the results",
    "algorithms": "a list such as [custom_ppo, ppo]",
    "environments": "a mapping such as {CartPole-v1: {n_timesteps: 50_000}}",
    "seeds": "a count such as 10, or a range such as 0-9",
}
_OPTIONAL = ("hyperparameters", "evaluation", "execution", "logging", "statistics", "trusted_packages")

MAX_RUNS = 100_000
"""Largest number of runs of an experiment."""

T = TypeVar("T")


def load_config(path: Path, *, known_algorithms: Collection[str] = REGISTERED) -> ExperimentConfig:
    """Return the experiment that a file describes; raise ConfigError with the first mistake.

    known_algorithms: registered names, which need no "package.module:Class".
    """
    return parse_config(read_text(path), path, known_algorithms=known_algorithms)


def parse_config(text: str, path: Path, *, known_algorithms: Collection[str] = REGISTERED) -> ExperimentConfig:
    """Return the experiment that a text describes; raise ConfigError with the first mistake.

    path: file name shown in messages; files named in the text are relative to its folder.
    """
    reading = read_config(path, text, known_algorithms=known_algorithms)
    if reading.config is None:
        raise reading.problems[0]
    return reading.config


def check_config(path: Path, *, known_algorithms: Collection[str] = REGISTERED) -> list[ConfigError]:
    """Return all mistakes in a file and in the hyperparameter files that it uses, sorted by line; empty if valid."""
    return [*read_config(path, known_algorithms=known_algorithms).problems]


def read_config(
    path: Path, text: str | None = None, *, known_algorithms: Collection[str] = REGISTERED, has_lines: bool = True
) -> Reading:
    """Return the experiment that a file describes, or all its mistakes and the parts that are valid.

    text: text of the file, if it is known already; has_lines: False if it is no file of the user's.
    """
    try:
        text = read_text(path) if text is None else text
        root = parse_document(text, str(path), has_lines=has_lines).root
    except PlacedError as error:
        return Reading(None, (error,))
    if not isinstance(root.value, dict):
        what = "the file is empty" if root.value is None else f"got {describe(root.value)}"
        return Reading(None, (root.error(f"expected a mapping with the keys {', '.join(_REQUIRED)}; {what}"),))
    return _build(root, path, known_algorithms)


def _in_order(problems: list[PlacedError], first_file: str) -> tuple[PlacedError, ...]:
    """Return each message once, sorted by line; the experiment's own file first, then the others in order of use."""
    # A file that several algorithms use is checked for each of them and gives its messages several times.
    unique = list({str(problem): problem for problem in problems}.values())
    files = dict.fromkeys([first_file, *(problem.file for problem in unique)])
    order = {file: index for index, file in enumerate(files)}
    return tuple(sorted(unique, key=lambda problem: (order[problem.file], problem.line)))


def _build(root: Located, path: Path, known: Collection[str]) -> Reading:
    """Return the experiment built from a mapping, or its mistakes and the parts that are valid."""
    problems: list[PlacedError] = []
    _check_keys(root, problems)

    def section(key: str, read: Callable[[Located], T]) -> T | None:
        return read(root[key]) if root.value.get(key) is not None else None

    drafts = section("algorithms", lambda place: read_algorithms(place, known, problems)) or []
    environments = section("environments", lambda place: read_environments(place, problems)) or []
    envs = [draft.env for draft in environments]
    labels = [draft.label for draft in drafts]
    evaluation = EvaluationConfig(
        **(section("evaluation", lambda place: read_fields(place, EVALUATION_RULES, problems)) or {})
    )
    seeds = section("seeds", lambda place: read_seeds(place, problems)) or ()
    _check_size(root, len(drafts), len(environments), len(seeds), problems)
    has_sources = root.value.get("hyperparameters") is not None
    sources = section("hyperparameters", lambda place: open_sources(place, path.parent, problems))
    entries: Entries = {}
    if len(drafts) * len(environments) <= MAX_ENTRIES and (sources is not None or not has_sources):
        if sources is not None:
            reject_unused(root["hyperparameters"], drafts, envs, known, problems)
        entries = merge_hyperparams(drafts, environments, sources, problems)
    logging = section("logging", lambda place: read_logging(place, problems)) or ()
    config = ExperimentConfig(
        name=section("name", lambda place: read_value(place, LABEL, problems)) or "",
        algorithms=tuple(_algorithm(draft, entries) for draft in drafts),
        environments=tuple(_environment(draft, entries, evaluation, problems) for draft in environments),
        seeds=seeds,
        evaluation=evaluation,
        statistics=section("statistics", lambda place: read_statistics(place, envs, labels, problems))
        or StatisticsConfig(),
        trusted_packages=section("trusted_packages", lambda place: read_trusted_packages(place, problems)) or (),
        path=path,
        text=root.document.text,
        execution=ExecutionConfig(
            **(section("execution", lambda place: read_fields(place, EXECUTION_RULES, problems)) or {})
        ),
        logging=tuple(dict.fromkeys(place.value for place in logging)),
    )
    return Reading(
        config if not problems else None,
        _in_order(problems, str(path)),
        tuple(drafts),
        tuple(environments),
        entries,
        logging,
    )


def _check_keys(root: Located, problems: list[PlacedError]) -> None:
    if "sweep" in root.value:
        problems.append(root["sweep"].error("is an entry of algorithms: write - sweep: {of: custom_ppo, ...} there"))
    reject_unknown(root, (*_REQUIRED, *_OPTIONAL, "sweep"), problems)
    for key, expected in _REQUIRED.items():
        if key not in root.value:
            problems.append(root.error(f"{key} is missing, expected {expected}"))
        elif root.value[key] is None:
            problems.append(root[key].error(f"is empty, expected {expected}"))


def _check_size(
    root: Located, n_algorithms: int, n_environments: int, n_seeds: int, problems: list[PlacedError]
) -> None:
    n_entries = n_algorithms * n_environments
    if n_entries > MAX_ENTRIES:
        message = f"{n_algorithms:,} algorithms in {n_environments:,} environments are {n_entries:,} pairs"
        problems.append(root["algorithms"].error(f"{message}, at most {MAX_ENTRIES:,} are allowed"))
    elif n_entries * n_seeds > MAX_RUNS:
        message = f"the experiment has {n_entries * n_seeds:,} runs, at most {MAX_RUNS:,} are allowed"
        problems.append(root["seeds"].error(message))


def _algorithm(draft: AlgorithmDraft, entries: Entries) -> AlgorithmConfig:
    hyperparams = {
        env: {key: value for key, value in entry.values.items() if key != "n_timesteps"}
        for (label, env), entry in entries.items()
        if label == draft.label
    }
    return AlgorithmConfig(draft.label, draft.algo_class, hyperparams, dict(draft.factors))


def _environment(
    draft: EnvironmentDraft, entries: Entries, evaluation: EvaluationConfig, problems: list[PlacedError]
) -> EnvironmentConfig:
    """Return the environment with its budget, which is the same for all algorithms.

    Different budgets, or environments built with different arguments, are a problem: their scores cannot be compared.
    """
    place = draft.place
    own = {label: entry.values for (label, env), entry in entries.items() if env == draft.env}
    budgets = {label: entry["n_timesteps"] for label, entry in own.items() if "n_timesteps" in entry}
    env_kwargs = {label: parse_kwargs(entry.get("env_kwargs")) for label, entry in own.items()}
    problems += _disagreement(place, "n_timesteps", budgets) + _disagreement(place, "env_kwargs", env_kwargs)
    n_timesteps = next(iter(budgets.values()), 0)
    if budgets and n_timesteps < evaluation.n_evaluations:
        message = f"{n_timesteps} timesteps are too few for {evaluation.n_evaluations} evaluations (n_evaluations)"
        problems.append(place.error(message))
    return EnvironmentConfig(draft.env, n_timesteps)


def _disagreement(place: Located, key: str, by_label: Mapping[str, object]) -> list[PlacedError]:
    """Return a problem that names the first two algorithms with different values, or nothing."""
    for label, value in by_label.items():
        first, expected = next(iter(by_label.items()))
        if value != expected:
            message = f"{first} has {key} {expected} but {label} {value}; all algorithms need the same: set {key} here"
            return [place.error(message)]
    return []
