from __future__ import annotations

import re

import pytest

from tests.planted.subjects.equivalents import EQUIVALENTS
from tests.planted.subjects.mutants import MUTANTS
from tests.planted.subjects.planted_bug import CATALOGUE_IDS, PlantedBug, by_name
from tests.planted.subjects.standalone_bugs import BUGS

PLANTED = [*MUTANTS.values(), *BUGS.values()]


def test_a_listed_bug_has_an_id_of_the_catalogue() -> None:
    assert {bug.name for bug in PLANTED if bug.listed and bug.id not in CATALOGUE_IDS} == set()


def test_an_unlisted_bug_has_no_id_of_the_catalogue() -> None:
    assert {bug.name for bug in PLANTED if not bug.listed and bug.id in CATALOGUE_IDS} == set()


def test_the_expected_deviation_is_the_id_of_a_listed_bug() -> None:
    assert all(bug.deviation == (bug.id if bug.listed else None) for bug in PLANTED)


def test_the_same_name_means_the_same_mistake_in_both_kinds_of_subjects() -> None:
    both = MUTANTS.keys() & BUGS.keys()

    assert len(both) >= 50
    assert {name for name in both if MUTANTS[name].deviation != BUGS[name].deviation} == set()


@pytest.mark.parametrize("bugs", [MUTANTS, BUGS], ids=["sb3", "standalone"])
def test_a_variant_stands_beside_the_bug_with_the_bare_id(bugs: dict[str, PlantedBug]) -> None:
    variants = {bug.name for bug in bugs.values() if bug.variant}

    assert {name for name in variants if name.partition("__")[0] not in bugs} == set()


def test_ids_are_written_like_those_of_the_catalogue() -> None:
    words = re.compile(r"[a-z][a-z0-9-]*(_[a-z0-9-]+)*")
    decimal_with_underscore = re.compile(r"(^|_)\d_\d+(_|$)")
    names = {*CATALOGUE_IDS, *(bug.id for bug in PLANTED), *(bug.variant for bug in PLANTED if bug.variant)}

    assert {name for name in names if not words.fullmatch(name)} == set()
    assert {name for name in names if decimal_with_underscore.search(name)} == set()


def test_an_equivalent_is_no_planted_bug() -> None:
    assert EQUIVALENTS.keys().isdisjoint({bug.id for bug in PLANTED})


def test_two_bugs_with_one_name_are_refused() -> None:
    bug = PlantedBug("sgd")
    assert list(by_name([bug, PlantedBug("sgd", variant="a2c")])) == ["sgd", "sgd__a2c"]

    with pytest.raises(ValueError, match=r"^two planted bugs are named 'sgd'; give one of them a variant$"):
        by_name([bug, PlantedBug("sgd")])
