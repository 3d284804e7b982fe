from __future__ import annotations

from typing import Any

import pytest

from harness.crosscheck.comparing.dead_values import MADE_FROM, row_of
from harness.crosscheck.comparing.divergences import Watched, compare
from harness.crosscheck.paired_runs import check_run
from harness.crosscheck.quantities import ORDER, Place
from tests.harness.crosscheck.traces import f32, trace
from tests.planted.subjects.training import CASES

Numbers = dict[tuple[int, int, str], Any]
ESTIMATES = f32([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])


def rollout(iteration: int = 1) -> Numbers:
    """What is seen of a rollout of four steps, and of an update of two minibatches."""
    last = 4 * iteration
    numbers: Numbers = {(last - 3, 0, "episode_start"): f32([1, 1]), (last, 0, "episode_start"): f32([0, 1])}
    numbers |= {(last, 0, name): ESTIMATES for name in ("advantage", "return")}
    for minibatch in (1, 2):
        numbers |= {(last, minibatch, name): f32([0.5, 0.25]) for name in ("new_value", "new_log_prob", "parameters")}
    return numbers


LOST: Numbers = {(1, 0, "episode_start"): f32([0, 0])}
"""Which no advantage reads."""


def test_a_number_of_which_nothing_is_made_is_told_apart_from_what_differs() -> None:
    found = compare(trace(rollout()), trace(rollout() | LOST))

    assert (found.first, found.first_beyond_rounding) == (None, None)
    assert [one.place for one in found.without_consequence] == [Place(1, 0, ORDER["episode_start"])]
    assert set(found.largest.values()) == {0.0}


@pytest.mark.parametrize("name", ["advantage", "return"])
def test_it_has_a_consequence_when_anything_that_is_made_from_it_differs(name: str) -> None:
    found = compare(trace(rollout()), trace(rollout() | LOST | {(4, 0, name): ESTIMATES * 2}))

    assert found.first_beyond_rounding is not None
    assert found.first_beyond_rounding.place.quantity == "episode_start"
    assert found.without_consequence == ()


def test_what_is_made_from_it_must_have_been_seen() -> None:
    hidden = {place: array for place, array in (rollout() | LOST).items() if place[2] != "return"}
    found = compare(trace(rollout()), trace(hidden))

    assert found.without_consequence == ()
    assert found.first_beyond_rounding is not None


def test_a_network_with_a_memory_is_judged_by_the_first_minibatch() -> None:
    judged = compare(trace(rollout()), trace(rollout() | LOST | {(4, 1, "new_value"): f32([9, 9])}))
    trained = compare(trace(rollout()), trace(rollout() | LOST | {(4, 2, "new_value"): f32([9, 9])}))

    assert judged.without_consequence == ()
    assert len(trained.without_consequence) == 1
    assert trained.first_beyond_rounding is not None
    assert trained.first_beyond_rounding.place == Place(4, 2, ORDER["new_value"])


def test_one_rollout_says_nothing_of_another() -> None:
    reference = rollout() | rollout(2)
    other = reference | LOST | {(5, 0, "episode_start"): f32([0, 0]), (8, 0, "advantage"): -ESTIMATES}
    found = compare(trace(reference), trace(other))

    assert [one.place.step for one in found.without_consequence] == [1]
    assert found.first_beyond_rounding is not None
    assert found.first_beyond_rounding.place.step == 5


def test_only_what_is_remembered_can_be_without_consequence() -> None:
    found = compare(trace(rollout()), trace(rollout() | {(4, 2, "parameters"): f32([9, 9])}))

    assert found.without_consequence == ()
    assert found.first_beyond_rounding is not None
    assert all(name.startswith("stored_") or name == "episode_start" for name in MADE_FROM)
    assert all(ORDER[name] < ORDER[made] for name, all_made in MADE_FROM.items() for made in all_made)


def test_a_row_is_the_same_in_every_rollout() -> None:
    rank = ORDER["episode_start"]
    assert [row_of(Place(step, 0, rank), trace({})) for step in (1, 4, 5)] == [(rank, 1), (rank, 4), (rank, 1)]


def test_ignored_rows_are_not_compared() -> None:
    ignored = frozenset({row_of(Place(1, 0, ORDER["episode_start"]), trace({}))})
    other = trace(rollout() | LOST | {(4, 0, "done"): [True, True]})
    found = compare(trace(rollout() | {(4, 0, "done"): [False, True]}), Watched(other, ignored))

    assert found.without_consequence == ()
    assert found.first is not None
    assert found.first.place == Place(4, 0, ORDER["done"])


def test_a_lost_first_row_is_no_worse_than_rounding_and_said_to_be_harmless() -> None:
    subject = "tests.planted.subjects.equivalents:first_episode_start_lost"
    found = check_run(subject, "ppo", CASES["CartPole15"], 0)

    assert (found.verdict, found.harmless, found.faults) == ("rounding", True, ())
    assert found.first is not None
    assert (found.first.quantity, found.first.step) == ("episode_start", 1)
    assert found.first_beyond_rounding is None
    assert any(note.startswith("episode_start differs") and "without consequence" in note for note in found.notes)
