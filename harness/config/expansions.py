"""Expand entries of the list `algorithms` that stand for several: `deviations: {of: custom_ppo, except: [...]}`.

An expansion is read after the single algorithms of the list, which it may vary. To add one, write a function of the
type `Expand` and enter its key into `EXPANSIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from harness.config.documents import Located, PlacedError
from harness.config.drafts import AlgorithmDraft
from harness.config.names import BORROWED, DEVIANTS
from harness.config.rules import TEXT, describe, expect_mapping, read_value, reject_unknown
from harness.errors import did_you_mean

__all__ = ["EXPANSIONS", "Expand", "expand", "is_expansion"]

Expand = Callable[[Located, Mapping[str, AlgorithmDraft], list[PlacedError]], list[AlgorithmDraft]]
"""Function of the value of an entry, the single algorithms of the list by label, and the problems to add to."""


def is_expansion(item: Located) -> bool:
    """Return True if an entry of the list has a key of `EXPANSIONS` in place of a label."""
    return isinstance(item.value, dict) and len(item.value) == 1 and next(iter(item.value)) in EXPANSIONS


def expand(
    item: Located, algorithms: Mapping[str, AlgorithmDraft], problems: list[PlacedError]
) -> list[AlgorithmDraft]:
    """Return the algorithms that an expansion stands for; mistakes become problems.

    algorithms: the single algorithms of the list by label.
    """
    ((key, place),) = item.items()
    return EXPANSIONS[key](place, algorithms, problems)


def _deviations(
    place: Located, algorithms: Mapping[str, AlgorithmDraft], problems: list[PlacedError]
) -> list[AlgorithmDraft]:
    """Return an algorithm for each deviation of the catalogue that applies to the one named by `of`.

    Each trains like that one, but with a single deviation, whose id is its label. `only` and `except` choose by id.
    """
    if not expect_mapping(place, "such as {of: custom_ppo, except: [adam_eps_1e-8]}", problems):
        return []
    n_problems = len(problems)
    reject_unknown(place, ("of", "only", "except"), problems)
    base = _base(place, algorithms, problems)
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
        AlgorithmDraft(
            label=name,
            algo_class=DEVIANTS[base.algo_class],
            hyperparameters_of=None,
            # Located at the expansion: a bad value of the base is still reported at the base's own line.
            kwargs={**base.kwargs, "deviations": Located(place.document, place.path, name)},
            place=place,
            variation_of=base,
        )
        for name in chosen
    ]


def _base(
    place: Located, algorithms: Mapping[str, AlgorithmDraft], problems: list[PlacedError]
) -> AlgorithmDraft | None:
    """Return the algorithm that `of` names; add a problem and return None if it is missing or has no deviations."""
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


def _ids(place: Located, known: Collection[str], reference: str, problems: list[PlacedError]) -> Sequence[str]:
    """Return the valid ids of a list of deviations; the others become problems."""
    if not isinstance(place.value, list):
        problems.append(place.error(f"expected a list of deviations, got {describe(place.value)}"))
        return ()
    ids: list[str] = []
    for item in place.elements():
        name = read_value(item, TEXT, problems)
        if name is None:
            continue
        if name not in known:
            hint = did_you_mean(name, known) or "; `python -m harness.catalogue` lists all"
            problems.append(item.error(f"{reference} has no deviation {name}{hint}"))
        elif name in ids:
            problems.append(item.error(f"the deviation {name} is given twice"))
        else:
            ids.append(name)
    return ids


EXPANSIONS: Mapping[str, Expand] = {"deviations": _deviations}
"""Keys that an entry may have in place of a label; an algorithm cannot have one of them as its label."""
