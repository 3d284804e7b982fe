"""Read the sections environments, logging, statistics and trusted_packages of an experiment.

Every function returns the valid part of its section and adds a problem for each mistake, so that one check shows all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

from harness.config.documents import Located, PlacedError
from harness.config.drafts import EnvironmentDraft
from harness.config.experiment import ReferenceScores, StatisticsConfig
from harness.config.labels import reject_shared_folders
from harness.config.rules import (
    TEXT,
    Rule,
    describe,
    expect_mapping,
    integer,
    matching,
    number,
    one_of,
    optional,
    read_fields,
    read_value,
    reject_unknown,
)
from harness.config.units import DURATION, SIZE, parse_duration, parse_size
from harness.errors import ConfigError, did_you_mean

__all__ = [
    "ENV_ID",
    "EVALUATION_RULES",
    "EXECUTION_RULES",
    "LOGS",
    "OVERRIDES",
    "STATISTICS_RULES",
    "read_environments",
    "read_logging",
    "read_statistics",
    "read_trusted_packages",
]

T = TypeVar("T")

_PACKAGE = matching(r"[A-Za-z_]\w*", "the name of a package, without dots")

ENV_ID = matching(
    r"(?:[A-Za-z_][\w.]*:)?(?:[A-Za-z0-9_][\w-]*/)?[A-Za-z0-9_][\w.-]*", "a gymnasium id such as CartPole-v1"
)

_ONE_OR_MORE = integer(at_least=1)

EVALUATION_RULES: Mapping[str, Rule] = {
    "n_evaluations": _ONE_OR_MORE,
    "n_eval_episodes": _ONE_OR_MORE,
    "n_final_episodes": _ONE_OR_MORE,
}

_NUMBER_OR_TEXT = {"type": ["number", "string"]}
_DURATION = Rule(DURATION, parse_duration, _NUMBER_OR_TEXT)

EXECUTION_RULES: Mapping[str, Rule] = {
    "retries": integer(at_least=0, at_most=100),
    "time_limit": optional(_DURATION),
    "stall_limit": _DURATION,
    "memory_limit": optional(Rule(SIZE, parse_size, _NUMBER_OR_TEXT)),
    "checkpoint_interval": _DURATION,
}


def _read_looks(value: object) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise ValueError
    looks = tuple(integer(at_least=2).read(look) for look in value)
    if looks and (len(looks) < 2 or list(looks) != sorted(set(looks))):
        raise ValueError
    return looks


_LOOKS = Rule(
    "two or more ascending numbers of seeds, such as [10, 20, 30]",
    _read_looks,
    {"type": "array", "items": {"type": "integer", "minimum": 2}},
)


def _read_pairs(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list):
        raise ValueError
    pairs = []
    for item in value:
        if not (isinstance(item, list) and len(item) == 2 and all(isinstance(label, str) for label in item)):
            raise ValueError
        pairs.append((item[0], item[1]))
    return tuple(pairs)


_PAIRS = Rule(
    "a list of pairs of algorithms, such as [[ppo, a2c], [ppo, trpo]]",
    _read_pairs,
    {"type": "array", "items": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}},
)

STATISTICS_RULES: Mapping[str, Rule] = {
    "confidence": number(above=0, below=1),
    "n_bootstrap": _ONE_OR_MORE,
    "smoothing_window": _ONE_OR_MORE,
    "last_episodes": _ONE_OR_MORE,
    "equivalence_margin": number(above=0),
    "references": Rule("a mapping of environments to scores", lambda value: value),
    "thresholds": Rule("a mapping of environments to scores", lambda value: value),
    "baseline": optional(TEXT),
    "pairs": _PAIRS,
    "failed_runs": one_of("random", "lowest", "excluded"),
    "looks": _LOOKS,
    "spending": one_of("obrien_fleming", "pocock"),
}

LOGS = one_of("tensorboard", "wandb")
"""Rule for the program that shows a log; its name is that of its package, and of the extra that installs it."""

OVERRIDES = ("n_timesteps", "n_envs", "env_kwargs")


def read_trusted_packages(place: Located, problems: list[PlacedError]) -> tuple[str, ...]:
    """Return the names of top-level packages."""
    if not isinstance(place.value, list):
        problems.append(place.error(f"expected a list of packages, got {describe(place.value)}"))
        return ()
    packages = [read_value(item, _PACKAGE, problems) for item in place.elements()]
    return tuple(package for package in packages if package is not None)


def read_logging(place: Located, problems: list[PlacedError]) -> tuple[Located, ...]:
    """Return the valid names of further logs, each at its place, from one name or a list."""
    is_list = isinstance(place.value, list)
    items = list(place.elements()) if is_list else [place]
    if not is_list and not isinstance(place.value, str):
        problems.append(place.error(f"expected a list such as [tensorboard], got {describe(place.value)}"))
        return ()
    return tuple(item for item in items if read_value(item, LOGS, problems) is not None)


def read_statistics(
    place: Located, envs: Collection[str], labels: Collection[str], problems: list[PlacedError]
) -> StatisticsConfig:
    """Return the settings of the statistics; references, baseline and pairs must name what the file has."""
    fields = read_fields(place, STATISTICS_RULES, problems)
    if fields.get("baseline") is not None and fields["baseline"] not in labels:
        hint = did_you_mean(fields["baseline"], labels)
        problems.append(place["baseline"].error(f"is not an algorithm of this experiment{hint}"))
    if fields.get("pairs"):
        problems += _mistakes_in_pairs(place["pairs"], fields, labels)
    references = _by_environment(place, "references", "{random: ..., best: ...}", envs, _read_reference, problems)
    thresholds = _by_environment(place, "thresholds", "a score", envs, _read_threshold, problems)
    return StatisticsConfig(**{**fields, "references": references, "thresholds": thresholds})


def _mistakes_in_pairs(place: Located, fields: Mapping[str, Any], labels: Collection[str]) -> Iterator[PlacedError]:
    if fields.get("baseline") is not None:
        yield place.error("expected either pairs or baseline, got both; delete one of them")
    seen: set[frozenset[str]] = set()
    for item, pair in zip(place.elements(), fields["pairs"], strict=True):
        for label in pair:
            if label not in labels:
                yield item.error(f"{label} is not an algorithm of this experiment{did_you_mean(label, labels)}")
        if pair[0] == pair[1]:
            yield item.error(f"compares {pair[0]} with itself; name two algorithms")
        elif frozenset(pair) in seen:
            yield item.error(f"is there twice: {pair[0]} and {pair[1]}; delete one of them")
        seen.add(frozenset(pair))


def _by_environment(
    place: Located,
    key: str,
    expected: str,
    envs: Collection[str],
    read: Callable[[Located, list[PlacedError]], T | None],
    problems: list[PlacedError],
) -> dict[str, T]:
    """Return the valid values of a mapping from environments of the experiment; mistakes become problems."""
    values: dict[str, T] = {}
    if isinstance(place.value, dict) and place.value.get(key) is not None:
        section = place[key]
        if expect_mapping(section, f"of environments to {expected}", problems):
            for env, item in section.items():
                if env not in envs:
                    problems.append(item.error(f"is not an environment of this experiment{did_you_mean(env, envs)}"))
                elif (value := read(item, problems)) is not None:
                    values[env] = value
    return values


def _read_threshold(place: Located, problems: list[PlacedError]) -> float | None:
    threshold: float | None = read_value(place, number(), problems)
    return threshold


def _read_reference(place: Located, problems: list[PlacedError]) -> ReferenceScores | None:
    scores = read_fields(place, {"random": number(), "best": number()}, problems)
    if isinstance(place.value, dict):
        missing = [key for key in ("random", "best") if key not in place.value]
        problems += [place.error(f"{key} is missing, expected a number") for key in missing]
    if len(scores) < 2:
        return None
    if scores["best"] <= scores["random"]:
        problems.append(place.error(f"expected best > random, got best {scores['best']} and random {scores['random']}"))
        return None
    return ReferenceScores(**scores)


def read_environments(section: Located, problems: list[PlacedError]) -> list[EnvironmentDraft]:
    """Return the environments of the section, each with its overrides."""
    if not expect_mapping(section, "of environment ids to overrides, `CartPole-v1: {n_timesteps: 50_000}`", problems):
        return []
    if not section.value:
        problems.append(section.error("expected at least one environment"))
    drafts: list[EnvironmentDraft] = []
    check_folder = reject_shared_folders("environment", lambda env: env.replace("/", "-"))
    for env, place in section.items():
        try:
            check_folder(ENV_ID(env))
        except ConfigError as error:
            problems.append(place.placed(error))
            continue
        overrides: dict[str, Located] = {}
        if place.value is not None and expect_mapping(place, f"of {', '.join(OVERRIDES)}", problems):
            reject_unknown(place, OVERRIDES, problems)
            overrides = {key: value for key, value in place.items() if key in OVERRIDES}
        drafts.append(EnvironmentDraft(env, overrides, place))
    return drafts
