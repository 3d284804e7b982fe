"""Read the section `algorithms` of an experiment: a list of algorithms, and of entries that expand to several."""

from __future__ import annotations

from collections.abc import Collection

from harness.config.documents import Located, PlacedError
from harness.config.drafts import AlgorithmDraft
from harness.config.expansions import EXPANSIONS, expand, is_expansion
from harness.config.experiment import Level
from harness.config.labels import LABEL, reject_shared_folders
from harness.config.rules import Rule, describe, expect_mapping, matching, read_value, reject_unknown
from harness.errors import ConfigError, did_you_mean

__all__ = ["read_algorithms"]

_CLASS = matching(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", "a registered name or package.module:Class")

_SETTINGS = ("class", "hyperparameters_of", "kwargs", "factors")

_LEVEL = Rule("a number, text, true, false or null", lambda value: _scalar(value))


def read_algorithms(place: Located, known: Collection[str], problems: list[PlacedError]) -> list[AlgorithmDraft]:
    """Return the algorithms of the list, in its order; mistakes become problems.

    An entry is a registered name, a "package.module:Class", a mapping {label: settings}, or one of `EXPANSIONS`.
    known: the registered names.
    """
    if not isinstance(place.value, list):
        problems.append(place.error(f"expected a list of algorithms, got {describe(place.value)}"))
        return []
    if not place.value:
        problems.append(place.error("expected at least one algorithm, got an empty list"))
    # Single algorithms first: an expansion may vary an algorithm that is listed below it.
    items = list(place.elements())
    single = {
        item.path: draft
        for item in items
        if not is_expansion(item) and (draft := _read_algorithm(item, known, problems)) is not None
    }
    by_label = {draft.label: draft for draft in single.values()}

    def find(name: object) -> AlgorithmDraft | None:
        if isinstance(name, str) and name in by_label:
            return by_label[name]
        return AlgorithmDraft(LABEL(name), _algorithm_class(name, {*known, *by_label}), None, {}, place)

    drafts: list[AlgorithmDraft] = []
    check_folder = reject_shared_folders("algorithm", lambda label: label.replace(":", "."))
    for item in items:
        found = [single[item.path]] if item.path in single else []
        for draft in expand(item, by_label, find, problems) if is_expansion(item) else found:
            try:
                check_folder(LABEL(draft.label))
                drafts.append(draft)
            except ConfigError as error:
                problems.append(item.error(f"{error}{_longer_labels(draft)}"))
                if draft.variation_of is not None:
                    break  # the other variations would say the same
    return drafts


def _longer_labels(draft: AlgorithmDraft) -> str:
    """Return a hint that makes the labels of a sweep differ from those of another."""
    if draft.variation_of is None or "algorithm" in draft.factors or "=" not in draft.label:
        return ""
    return f"; write of: [{draft.variation_of.label}] to begin the labels with the algorithm"


def _read_algorithm(item: Located, known: Collection[str], problems: list[PlacedError]) -> AlgorithmDraft | None:
    try:
        return _algorithm(item, known, problems)
    except ConfigError as error:
        problems.append(item.placed(error))
        return None


def _algorithm(item: Located, known: Collection[str], problems: list[PlacedError]) -> AlgorithmDraft:
    match item.value:
        case str() as label:
            return AlgorithmDraft(LABEL(label), _algorithm_class(label, known), None, {}, item)
        case dict() if len(item.value) == 1:
            ((label, place),) = item.items()
        case dict():
            raise ConfigError("expected one label in each list item; check the indentation of its settings")
        case other:
            raise ConfigError(f"expected the name of an algorithm or a mapping, got {describe(other)}")
    kwargs: dict[str, Located] = {}
    settings: dict[str, Located] = {}
    if place.value is not None and expect_mapping(place, f"of {', '.join(_SETTINGS)}", problems):
        reject_unknown(place, _SETTINGS, problems)
        settings = dict(place.items())
    if "kwargs" in settings and expect_mapping(settings["kwargs"], "of hyperparameters", problems):
        kwargs = dict(settings["kwargs"].items())
    factors = _factors(settings["factors"], problems) if "factors" in settings else {}
    source = read_value(settings["hyperparameters_of"], LABEL, problems) if "hyperparameters_of" in settings else None
    class_place = settings.get("class", place)
    try:
        algo_class = _algorithm_class(class_place.value if "class" in settings else label, known)
        return AlgorithmDraft(LABEL(label), algo_class, source, kwargs, place, factors=factors)
    except ConfigError as error:
        raise class_place.error(str(error)) from None


def _factors(place: Located, problems: list[PlacedError]) -> dict[str, Level]:
    """Return factors and levels that describe an algorithm; mistakes become problems."""
    if not expect_mapping(place, "of factors to levels, {clip_range: 0.2}", problems):
        return {}
    return {factor: read_value(item, _LEVEL, problems) for factor, item in place.items()}


def _scalar(value: object) -> Level:
    if not isinstance(value, bool | int | float | str | None):
        raise ValueError
    return value


def _algorithm_class(name: object, known: Collection[str]) -> str:
    """Return the registered name, or the "package.module:Class"; raise ConfigError for anything else."""
    if isinstance(name, str) and name in known:
        return name
    if not isinstance(name, str) or (":" in name and not name.startswith(":")):
        return str(_CLASS(name))
    if name in EXPANSIONS:
        raise ConfigError(f"{name} needs settings, such as {name}: {{of: custom_ppo}}")
    hint = did_you_mean(name, [*known, *EXPANSIONS])
    hint = hint or f", expected one of {', '.join(sorted(known))}, or package.module:Class"
    raise ConfigError(f"no algorithm is registered as {name}{hint}")
