"""Merge the hyperparameters of each algorithm in each environment: file entry, own kwargs, environment overrides."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from harness.config.documents import Located, PlacedError
from harness.config.drafts import AlgorithmDraft, EnvironmentDraft
from harness.config.entries import accepted_keys, check_entry
from harness.config.names import DEFAULT_POLICIES
from harness.config.reading import Entry
from harness.config.sources import find_entry
from harness.errors import ConfigError, did_you_mean

__all__ = ["Entries", "merge_hyperparams", "reject_unused"]

MAX_ENTRIES = 5_000
"""Largest number of pairs of an algorithm and an environment."""

Entries = Mapping[tuple[str, str], Entry]
"""(label, environment id) -> hyperparameters."""


def merge_hyperparams(
    algorithms: Sequence[AlgorithmDraft],
    environments: Sequence[EnvironmentDraft],
    sources: Mapping[str, Located | None] | None,
    problems: list[PlacedError],
) -> Entries:
    """Return the checked hyperparameters of every algorithm in every environment; mistakes become problems.

    sources: see `open_sources`; None for the defaults of each algorithm's constructor.
    """
    merged: dict[tuple[str, str], Entry] = {}
    for algorithm in algorithms:
        try:
            source = None if sources is None else _source_of(algorithm, sources)
        except ConfigError as error:
            problems.append(algorithm.place.placed(error))
            continue
        if source is None and sources is not None:
            continue  # the file cannot be read: reported where the section was opened
        for environment in environments:
            before = len(problems)
            try:
                entry = _defaults(algorithm) if source is None else find_entry(source, environment.env)
                places = _merge(entry, algorithm, environment, problems)
                values = check_entry(places, algorithm.algo_class, problems)
            except ConfigError as error:
                problems.append(algorithm.place.placed(error))
                continue
            merged[algorithm.label, environment.env] = Entry(values, places, is_valid=len(problems) == before)
    return merged


def _defaults(algorithm: AlgorithmDraft) -> Located:
    """Return the entry of an experiment without hyperparameters, located at the algorithm."""
    place, policy = algorithm.place, DEFAULT_POLICIES.get(algorithm.algo_class, "MlpPolicy")
    positions = {**place.document.positions, (*place.path, "policy"): place.document.positions[place.path]}
    return Located(replace(place.document, positions=positions), place.path, {"policy": policy})


def _merge(
    entry: Located, algorithm: AlgorithmDraft, environment: EnvironmentDraft, problems: list[PlacedError]
) -> dict[str, Located]:
    """Return the entry, overridden by the algorithm's kwargs, then by the environment; missing keys become problems."""
    # Located values are merged, not plain ones: a mistake is then reported at the line of the part that won.
    parts = {**dict(entry.items()), **algorithm.kwargs, **environment.overrides}
    if "n_timesteps" not in parts:
        problems.append(environment.place.error("n_timesteps is missing, expected an integer >= 1"))
    problems += [
        place.error(f"is set here, and swept in {algorithm.place.where}; remove one of the two")
        for key, place in environment.overrides.items()
        if key in algorithm.swept
    ]
    if "policy" not in parts and accepted_keys(algorithm.algo_class) is not None:
        problems.append(entry.error("policy is missing, expected MlpPolicy, CnnPolicy or MultiInputPolicy"))
    return parts


def _source_of(draft: AlgorithmDraft, sources: Mapping[str, Located | None]) -> Located | None:
    """Return the first of the draft's sources that the file has; raise ConfigError if it has none."""
    for name in draft.sources:
        if name in sources:
            return sources[name]
    if draft.hyperparameters_of is not None:
        hint = did_you_mean(draft.hyperparameters_of, sources)
        raise ConfigError(f"hyperparameters_of: the file has no hyperparameters.{draft.hyperparameters_of}{hint}")
    # The last source is the most general: for custom_ppo it is ppo, whose entries the zoo has. A class path cannot be
    # suggested as a key, so the label takes its place.
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
    """Add a problem for each set of hyperparameters that no algorithm uses: its name is probably misspelt.

    Allowed are hyperparameters of registered algorithms outside the list, and entries of a hyperparameter file for
    other environments. Entries written in the experiment itself must be for its own environments.
    """
    # Each draft uses only the first source that exists, but the others are not mistakes: they are its fallbacks.
    used = {name for draft in drafts for name in draft.sources}
    for algorithm, source in section.items():
        if algorithm not in used and algorithm not in known:
            hint = did_you_mean(algorithm, {*used, *known})
            problems.append(source.error(f"no algorithm of this experiment uses these hyperparameters{hint}"))
        entries = source.items() if isinstance(source.value, dict) else ()
        problems += [
            place.error(f"is not an environment of this experiment{did_you_mean(env, envs)}")
            for env, place in entries
            if env not in envs and env not in {"default", "atari"}
        ]
