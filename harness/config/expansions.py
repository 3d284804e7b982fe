"""Expand entries of the list `algorithms` that stand for several: `sweep: {of: custom_ppo, clip_range: [0.1, 0.2]}`.

An expansion makes variations of an algorithm, one for each combination of levels of its factors. `sweep` has the
factors that the file names; `deviations` has one, whose levels are entries of the catalogue. Both are read after the
single algorithms of the list, which they may vary. To add one, write a function of the type `Expand` and enter its key
into `EXPANSIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from harness.config.documents import Located, PlacedError
from harness.config.drafts import AlgorithmDraft
from harness.config.entries import accepted_keys, check_setting
from harness.config.experiment import Level
from harness.config.labels import level_text
from harness.config.names import BORROWED, DEVIANTS
from harness.config.rules import TEXT, describe, expect_mapping, read_value, reject_unknown
from harness.errors import ConfigError, did_you_mean

__all__ = ["EXPANSIONS", "MAX_ALGORITHMS", "Expand", "expand", "is_expansion"]

MAX_ALGORITHMS = 2_000
"""Largest number of algorithms that one expansion makes; a larger one is assumed to be a mistake."""

Find = Callable[[object], AlgorithmDraft | None]
"""Function from a name to the algorithm of the list with this label, or else to the registered algorithm or class."""

Expand = Callable[[Located, Mapping[str, AlgorithmDraft], Find, list[PlacedError]], list[AlgorithmDraft]]
"""Function of the value of an entry, the single algorithms of the list by label, a function that finds an algorithm by
its name, and the problems to add to."""

NO_DEVIATION = "none"
"""Level of the factor `deviations` at which the algorithm is unchanged."""


@dataclass(frozen=True)
class _Level:
    """Level of a factor: the value of one hyperparameter, and the text that stands for it in labels."""

    factor: str
    level: Level
    text: str
    value: Located


def is_expansion(item: Located) -> bool:
    """Return True if an entry of the list has a key of `EXPANSIONS` in place of a label."""
    return isinstance(item.value, dict) and len(item.value) == 1 and next(iter(item.value)) in EXPANSIONS


def expand(
    item: Located, algorithms: Mapping[str, AlgorithmDraft], find: Find, problems: list[PlacedError]
) -> list[AlgorithmDraft]:
    """Return the algorithms that an expansion stands for; mistakes become problems.

    algorithms: the single algorithms of the list by label; find: see `Find`, raises ConfigError for unknown names.
    """
    ((key, place),) = item.items()
    return EXPANSIONS[key](place, algorithms, find, problems)


def _vary(base: AlgorithmDraft, levels: Sequence[_Level], label: str, place: Located) -> AlgorithmDraft:
    """Return the algorithm with these levels in place of its own values."""
    changes = {
        level.factor: level.value
        for level in levels
        if level.factor != "deviations" or level.value.value != NO_DEVIATION
    }
    return replace(
        base,
        label=label,
        algo_class=DEVIANTS[base.algo_class] if "deviations" in changes else base.algo_class,
        hyperparameters_of=None,
        # Located at the expansion: a bad value of the base is still reported at the base's own line.
        kwargs={**base.kwargs, **changes},
        place=place,
        variation_of=base,
        factors={**base.factors, **{level.factor: level.level for level in levels}},
        swept=frozenset(level.factor for level in levels),
    )


def _sweep(
    place: Located, algorithms: Mapping[str, AlgorithmDraft], find: Find, problems: list[PlacedError]
) -> list[AlgorithmDraft]:
    """Return an algorithm for each combination of the listed values of hyperparameters.

    `of` names one algorithm, or a list of them, which then becomes a factor itself and begins every label.
    """
    if not expect_mapping(place, "such as {of: custom_ppo, clip_range: [0.1, 0.2, 0.3]}", problems):
        return []
    bases = _swept_algorithms(place, find, problems)
    factors = [_levels(key, item, bases, problems) for key, item in place.items() if key != "of"]
    if not factors:
        problems.append(place.error("varies nothing, expected a hyperparameter such as clip_range: [0.1, 0.2, 0.3]"))
        return []
    n_algorithms = len(bases)
    for levels in factors:
        n_algorithms *= len(levels)
    if n_algorithms > MAX_ALGORITHMS:
        problems.append(place.error(f"stands for {n_algorithms:,} algorithms, at most {MAX_ALGORITHMS:,} are allowed"))
        return []
    several = isinstance(place.value.get("of"), list)
    return [
        replace(
            variation := _vary(base, levels, _label(base.label if several else "", levels), place),
            factors={"algorithm": base.label, **variation.factors} if several else variation.factors,
        )
        for base in bases
        for levels in product(*factors)
    ]


def _label(prefix: str, levels: Sequence[_Level]) -> str:
    """Return the label of a point: `clip_range=0.1,gae_lambda=0.95`."""
    return ",".join(filter(None, [prefix, *(f"{level.factor}={level.text}" for level in levels)]))


def _swept_algorithms(place: Located, find: Find, problems: list[PlacedError]) -> list[AlgorithmDraft]:
    """Return the algorithms that `of` names; mistakes become problems."""
    if "of" not in place.value:
        problems.append(place.error("of is missing, expected an algorithm such as of: custom_ppo, or a list of them"))
        return []
    several = isinstance(place.value["of"], list)
    items = list(place["of"].elements()) if several else [place["of"]]
    if not items:
        problems.append(place["of"].error("expected at least one algorithm, got an empty list"))
    found: dict[str, AlgorithmDraft] = {}
    for item in items:
        try:
            base = find(item.value)
        except ConfigError as error:
            problems.append(item.placed(error))
            continue
        if base is not None and base.label in found:
            problems.append(item.error(f"the algorithm {base.label} is given twice"))
        elif base is not None:
            found[base.label] = base
    return list(found.values())


def _levels(factor: str, place: Located, bases: Sequence[AlgorithmDraft], problems: list[PlacedError]) -> list[_Level]:
    """Return the levels of a factor: a list of values, or a mapping from names to values; mistakes become problems."""
    if not isinstance(place.value, list | dict) or not place.value:
        got = describe(place.value) if place.value else "nothing"
        problems.append(place.error(f"expected a list of values, or a mapping of names to values, got {got}"))
        return []
    for base in bases:
        try:
            _check_factor(factor, base)
        except ConfigError as error:
            problems.append(place.placed(error))
            return []
    named = isinstance(place.value, dict)
    levels: dict[str, _Level] = {}
    for name, item in place.items() if named else ((None, item) for item in place.elements()):
        try:
            level = _level(factor, name, item, bases)
        except ConfigError as error:
            problems.append(item.placed(error))
            continue
        if level.text in levels:
            problems.append(item.error(f"the value {level.text} is given twice"))
        levels[level.text] = level
    return list(levels.values())


def _check_factor(factor: str, base: AlgorithmDraft) -> None:
    """Raise ConfigError unless a hyperparameter of this name can be swept."""
    if factor == "deviations":
        if base.algo_class not in DEVIANTS:
            raise ConfigError(f"deviations are for {' or '.join(DEVIANTS)}, {base.label} has none")
    elif factor == "n_timesteps":
        raise ConfigError("cannot be swept: every algorithm of an environment has the same budget")
    elif factor == "env_kwargs":
        raise ConfigError("cannot be swept: every algorithm meets the same environment")
    else:
        known = accepted_keys(base.algo_class)
        if known is not None and factor not in known:
            hint = did_you_mean(factor, known) or f", {base.label} accepts {', '.join(sorted(known))}"
            raise ConfigError(f"{base.label} has no hyperparameter of this name{hint}")


def _level(factor: str, name: str | None, item: Located, bases: Sequence[AlgorithmDraft]) -> _Level:
    """Return a level of a factor; raise ConfigError for a value that is not accepted, or that needs a name."""
    value = item.value
    for base in bases:
        if factor != "deviations":
            value = check_setting(factor, item.value, base.algo_class)
        elif item.value != NO_DEVIATION:
            known = _deviations_of(BORROWED[base.algo_class])
            for deviation in item.value if isinstance(item.value, list) else [item.value]:
                _check_deviation(deviation, known, BORROWED[base.algo_class])
    if name is not None:
        return _Level(factor, name, level_text(name), item)
    try:
        return _Level(factor, value, level_text(value), item)
    except ConfigError:
        raise ConfigError(f"give this value a name that labels can hold: {factor}: {{NAME: value, ...}}") from None


def _deviations(
    place: Located, algorithms: Mapping[str, AlgorithmDraft], find: Find, problems: list[PlacedError]
) -> list[AlgorithmDraft]:
    """Return an algorithm for each deviation of the catalogue that applies to the one named by `of`.

    Each trains like that one, but with a single deviation, whose id is its label. `only` and `except` choose by id.
    """
    if not expect_mapping(place, "such as {of: custom_ppo, except: [adam_eps_1e-8]}", problems):
        return []
    n_problems = len(problems)
    reject_unknown(place, ("of", "only", "except"), problems)
    base = _deviating_algorithm(place, algorithms, problems)
    if base is None:
        return []
    # The catalogue names references (ppo), the list names algorithms (custom_ppo): only the latter can deviate.
    reference = BORROWED[base.algo_class]
    known = _deviations_of(reference)
    if "only" in place.value and "except" in place.value:
        problems.append(place["except"].error("cannot be combined with only: name the deviations to train, or to omit"))
    only = _ids(place["only"], known, reference, problems) if "only" in place.value else known
    omitted = _ids(place["except"], known, reference, problems) if "except" in place.value else ()
    chosen = [name for name in known if name in only and name not in omitted]
    if not chosen and len(problems) == n_problems:  # otherwise a misspelt id, reported already, may be the cause
        problems.append(place.error("selects no deviation, expected at least one"))
    return [
        _vary(base, [_Level("deviations", name, name, Located(place.document, place.path, name))], name, place)
        for name in chosen
    ]


def _deviating_algorithm(
    place: Located, algorithms: Mapping[str, AlgorithmDraft], problems: list[PlacedError]
) -> AlgorithmDraft | None:
    """Return the algorithm that `of` names; add a problem and return None if it is missing or has no deviations.

    It must be in the list, as the deviations are compared with it.
    """
    if "of" not in place.value:
        problems.append(place.error("of is missing, expected the label of an algorithm in this list"))
        return None
    label = read_value(place["of"], TEXT, problems)
    if label is None:
        return None
    if label not in algorithms:
        problems.append(place["of"].error(f"{label} is not an algorithm of this list{did_you_mean(label, algorithms)}"))
        return None
    base = algorithms[label]
    if base.algo_class not in DEVIANTS:
        expected = " or ".join(DEVIANTS)
        problems.append(place["of"].error(f"expected an algorithm of class {expected}, got {base.algo_class}"))
        return None
    return base


def _deviations_of(reference: str) -> list[str]:
    """Return the ids of the deviations that apply to a reference, "ppo" or "a2c", in the catalogue's order."""
    # Imported here, because the catalogue loads torch, which takes seconds and is not needed by other configurations.
    from harness.catalogue import CATALOGUE

    return [entry.id for entry in CATALOGUE if reference in entry.algorithms]


def _check_deviation(name: object, known: Collection[str], reference: str) -> None:
    """Raise ConfigError unless the name is that of a known deviation."""
    if not isinstance(name, str):
        raise ConfigError(f"expected text, got {describe(name)}")
    if name not in known:
        hint = did_you_mean(name, known) or "; `python -m harness.catalogue` lists all"
        raise ConfigError(f"{reference} has no deviation {name}{hint}")


def _ids(place: Located, known: Collection[str], reference: str, problems: list[PlacedError]) -> Sequence[str]:
    """Return the valid ids of a list of deviations; the others become problems."""
    if not isinstance(place.value, list):
        problems.append(place.error(f"expected a list of deviations, got {describe(place.value)}"))
        return ()
    ids: dict[str, None] = {}
    for item in place.elements():
        try:
            _check_deviation(item.value, known, reference)
        except ConfigError as error:
            problems.append(item.placed(error))
            continue
        if item.value in ids:
            problems.append(item.error(f"the deviation {item.value} is given twice"))
        ids[item.value] = None
    return tuple(ids)


EXPANSIONS: Mapping[str, Expand] = {"deviations": _deviations, "sweep": _sweep}
"""Keys that an entry may have in place of a label; an algorithm cannot have one of them as its label."""
