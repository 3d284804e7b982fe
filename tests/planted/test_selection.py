from __future__ import annotations

import pytest

from tests.planted.selection import KINDS, combinations, named, singles
from tests.planted.subjects import mutation
from tests.planted.subjects.mutants import MUTANTS
from tests.planted.subjects.training import CASES


@pytest.mark.parametrize("kind", ["sb3", "standalone"])
@pytest.mark.parametrize("size", [2, 3])
def test_combinations_are_distinct_compatible_and_reproducible(kind: str, size: int) -> None:
    drawn = combinations(kind, size, 12)

    assert [one.name for one in drawn] == [one.name for one in combinations(kind, size, 12)]
    assert len({frozenset(one.name.split("+")) for one in drawn}) == 12
    assert all(len(one.expected_at) == size and None not in one.deviations for one in drawn)
    if kind == "sb3":
        assert all(mutation.compatible([MUTANTS[name] for name in one.name.split("+")]) for one in drawn)


def test_every_mutant_is_a_subject() -> None:
    assert [one.name for one in singles("sb3")] == list(MUTANTS)


def test_correct_implementations_are_checked_in_all_environments() -> None:
    assert all(one.environments == tuple(CASES) for one in singles("equivalents"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_subject_is_found_by_its_name(kind: str) -> None:
    assert all(named(kind, one.name) == one for one in singles(kind))


def test_a_variant_is_expected_to_be_named_by_the_id_alone() -> None:
    late = named("sb3", "gradients_not_clipped__clipped_after_step")

    assert late.deviations == ("gradients_not_clipped",)
    assert named("sb3", "value_loss_halved__a2c").reference == "a2c"
