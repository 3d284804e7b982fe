"""What each algorithm trains with in each environment: file entry, then its own kwargs, then the overrides."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from harness.config.documents import Located, PlacedError
from harness.config.drafts import AlgorithmDraft, EnvironmentDraft
from harness.config.entries import accepted_keys, check_entry
from harness.config.sources import find_entry
from harness.errors import ConfigError, did_you_mean

__all__ = ["Merged", "merge_hyperparams", "reject_unused"]

Merged = Mapping[tuple[str, str], Mapping[str, Any]]
"""(label, environment id) -> checked hyperparameters, n_timesteps included."""


def merge_hyperparams(
    algorithms: Sequence[AlgorithmDraft],
    environments: Sequence[EnvironmentDraft],
    sources: Mapping[str, Located | None],
    trusted: Collection[str],
    problems: list[PlacedError],
) -> Merged:
    """The hyperparameters of every algorithm in every environment; what cannot be used becomes a problem.

    sources: see `open_sources`; trusted: see `check_entry`.
    """
    merged: dict[tuple[str, str], Mapping[str, Any]] = {}
    for algorithm in algorithms:
        try:
            source = _source_of(algorithm, sources)
        except ConfigError as error:
            problems.append(algorithm.place.placed(error))
            continue
        if source is None:
            continue  # its file cannot be read, and that is a problem already
        for environment in environments:
            try:
                entry = _merge(find_entry(source, environment.env), algorithm, environment, problems)
                merged[algorithm.label, environment.env] = check_entry(entry, algorithm.algo_class, trusted, problems)
            except ConfigError as error:
                problems.append(algorithm.place.placed(error))
    return merged


def _merge(
    entry: Located, algorithm: AlgorithmDraft, environment: EnvironmentDraft, problems: list[PlacedError]
) -> dict[str, Located]:
    """The entry, the algorithm's kwargs over it, the environment's overrides over both; problems for what lacks."""
    parts = {**dict(entry.items()), **algorithm.kwargs, **environment.overrides}
    if "n_timesteps" not in parts:
        problems.append(environment.place.error("n_timesteps is missing, expected an integer >= 1"))
    if "policy" not in parts and accepted_keys(algorithm.algo_class) is not None:
        problems.append(entry.error("policy is missing, expected MlpPolicy, CnnPolicy or MultiInputPolicy"))
    return parts


def _source_of(draft: AlgorithmDraft, sources: Mapping[str, Located | None]) -> Located | None:
    """The source of the first candidate that is given; raises ConfigError when none is."""
    for name in draft.sources:
        if name in sources:
            return sources[name]
    if draft.hyperparameters_of is not None:
        hint = did_you_mean(draft.hyperparameters_of, sources)
        raise ConfigError(f"hyperparameters_of: there is no hyperparameters.{draft.hyperparameters_of}{hint}")
    last = draft.sources[-1]
    best = last if ":" not in last else draft.label
    raise ConfigError(
        f"has no hyperparameters: add hyperparameters.{best} (a file, `zoo` or a mapping), "
        "or name another algorithm's by hyperparameters_of"
    )


def reject_unused(
    section: Located,
    drafts: Sequence[AlgorithmDraft],
    envs: Collection[str],
    known: Collection[str],
    problems: list[PlacedError],
) -> None:
    """Problems for hyperparameters that nothing takes: a misspelt name would leave the others in force, silently.

    Those of a registered algorithm that is not in the list may stay, and so may other environments of a file;
    an entry that is written in the experiment itself is meant for it.
    """
    takers = {name for draft in drafts for name in draft.sources}
    for algorithm, source in section.items():
        if algorithm not in takers and algorithm not in known:
            hint = did_you_mean(algorithm, {*takers, *known})
            problems.append(source.error(f"no algorithm takes these hyperparameters{hint}"))
        entries = source.items() if isinstance(source.value, dict) else ()
        problems += [
            place.error(f"is no environment of this experiment{did_you_mean(env, envs)}")
            for env, place in entries
            if env not in envs and env not in {"default", "atari"}
        ]
