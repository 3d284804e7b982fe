from __future__ import annotations

from typing import Any

import pytest

from harness.crosscheck.comparing.comparison import compare
from harness.crosscheck.comparing.dead_values import COMPUTED_FROM
from harness.crosscheck.comparing.searchable_trace import SearchableTrace
from harness.crosscheck.paired_runs import check_run
from harness.crosscheck.quantities import ORDER, Place
from tests.harness.crosscheck.traces import f32, trace
from tests.planted.subjects.training import CASES

Arrays = dict[tuple[int, int, str], Any]
ESTIMATES = f32([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])


def rollout(iteration: int = 1) -> Arrays:
    """Arrays of a rollout of four steps and of an update of two minibatches."""
    last = 4 * iteration
    numbers: Arrays = {(last - 3, 0, "episode_start"): f32([1, 1]), (last, 0, "episode_start"): f32([0, 1])}
    numbers |= {(last, 0, name): ESTIMATES for name in ("advantage", "return")}
    for minibatch in (1, 2):
        numbers |= {(last, minibatch, name): f32([0.5, 0.25]) for name in ("new_value", "new_log_prob", "parameters")}
    return numbers


LOST: Arrays = {(1, 0, "episode_start"): f32([0, 0])}
"""First episode starts of a rollout, which no advantage reads, with wrong values."""


def test_a_wrong_value_that_nothing_reads_is_dead_and_no_divergence() -> None:
    found = compare(trace(rollout()), trace(rollout() | LOST))

    assert (found.first, found.first_beyond_rounding) == (None, None)
    assert [one.place for one in found.dead_values] == [Place(1, 0, ORDER["episode_start"])]
    assert set(found.largest.values()) == {0.0}


@pytest.mark.parametrize("name", ["advantage", "return"])
def test_a_value_is_alive_if_anything_computed_from_it_differs(name: str) -> None:
    found = compare(trace(rollout()), trace(rollout() | LOST | {(4, 0, name): ESTIMATES * 2}))

    assert found.first_beyond_rounding is not None
    assert found.first_beyond_rounding.place.quantity == "episode_start"
    assert found.dead_values == ()


def test_a_value_is_alive_if_what_is_computed_from_it_was_not_recorded() -> None:
    hidden = {place: array for place, array in (rollout() | LOST).items() if place[2] != "return"}
    found = compare(trace(rollout()), trace(hidden))

    assert found.dead_values == ()
    assert found.first_beyond_rounding is not None


def test_outputs_of_the_networks_count_in_the_first_minibatch_only() -> None:
    judged = compare(trace(rollout()), trace(rollout() | LOST | {(4, 1, "new_value"): f32([9, 9])}))
    trained = compare(trace(rollout()), trace(rollout() | LOST | {(4, 2, "new_value"): f32([9, 9])}))

    assert judged.dead_values == ()
    assert len(trained.dead_values) == 1
    assert trained.first_beyond_rounding is not None
    assert trained.first_beyond_rounding.place == Place(4, 2, ORDER["new_value"])


def test_each_rollout_is_judged_by_itself() -> None:
    reference = rollout() | rollout(2)
    other = reference | LOST | {(5, 0, "episode_start"): f32([0, 0]), (8, 0, "advantage"): -ESTIMATES}
    found = compare(trace(reference), trace(other))

    assert [one.place.step for one in found.dead_values] == [1]
    assert found.first_beyond_rounding is not None
    assert found.first_beyond_rounding.place.step == 5


def test_only_a_stored_value_can_be_dead() -> None:
    found = compare(trace(rollout()), trace(rollout() | {(4, 2, "parameters"): f32([9, 9])}))

    assert found.dead_values == ()
    assert found.first_beyond_rounding is not None


def test_what_is_computed_from_a_stored_value_is_derived_from_the_graph() -> None:
    assert {name: " ".join(sorted(computed, key=ORDER.get)) for name, computed in COMPUTED_FROM.items()} == {  # type: ignore[arg-type]
        "stored_observation": "batch_observation",
        "stored_action": "batch_action",
        "stored_reward": "advantage return",
        "episode_start": "advantage return new_value new_log_prob",
        "stored_value": "advantage return old_value",
        "stored_log_prob": "old_log_prob",
    }


def test_rows_of_the_buffer_are_the_same_in_every_rollout() -> None:
    rank = ORDER["episode_start"]
    assert [trace({}).buffer_row(Place(step, 0, rank)) for step in (1, 4, 5)] == [(rank, 1), (rank, 4), (rank, 1)]


def test_ignored_rows_are_not_compared() -> None:
    ignored = frozenset({trace({}).buffer_row(Place(1, 0, ORDER["episode_start"]))})
    other = trace(rollout() | LOST | {(4, 0, "done"): [True, True]})
    found = compare(trace(rollout() | {(4, 0, "done"): [False, True]}), SearchableTrace(other, ignored))

    assert found.dead_values == ()
    assert found.first is not None
    assert found.first.place == Place(4, 0, ORDER["done"])


def test_lost_first_episode_starts_are_harmless_and_no_worse_than_rounding() -> None:
    subject = "tests.planted.subjects.equivalents:first_episode_start_lost"
    found = check_run(subject, "ppo", CASES["CartPole15"], 0)

    assert (found.verdict, found.harmless, found.faults) == ("rounding", True, ())
    assert found.first is not None
    assert (found.first.quantity, found.first.step) == ("episode_start", 1)
    assert found.first_beyond_rounding is None
    assert any(note.startswith("episode_start differs") and "without consequence" in note for note in found.notes)
