from __future__ import annotations

import pytest

from harness.crosscheck.quantities import (
    BY_NAME,
    ORDER,
    QUANTITIES,
    Place,
    Quantity,
    ancestors,
    descendants,
    direct_uses,
)


def test_places_sort_in_the_order_in_which_quantities_come_about() -> None:
    in_time = [
        Place(0, 0, ORDER["initial_parameters"]),
        Place(1, 0, ORDER["action"]),
        Place(1, 0, ORDER["stored_reward"]),
        Place(4, 0, ORDER["advantage"]),
        Place(4, 1, ORDER["gradient"]),
        Place(4, 2, ORDER["minibatch"]),
        Place(5, 0, ORDER["observation"]),
    ]

    backwards = in_time[::-1]
    assert sorted(backwards) == in_time
    assert [place.quantity for place in in_time][:2] == ["initial_parameters", "action"]
    assert in_time[4].moment == (4, 1)


def test_names_are_unique_and_phases_follow_each_other() -> None:
    phases = ("start", "rollout", "advantages", "update")

    assert [quantity.name for quantity in QUANTITIES] == list(ORDER) == list(BY_NAME)
    assert [quantity.phase for quantity in QUANTITIES] == sorted((q.phase for q in QUANTITIES), key=phases.index)


@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda quantity: str(quantity.name))
def test_inputs_stand_before_what_is_computed_from_them(quantity: Quantity) -> None:
    # The graph has no cycle, so the first divergence in this order is never a consequence of a later one.
    ranks = [ORDER[name] for name in quantity.made_from]

    assert ranks == sorted(set(ranks))
    assert all(rank < ORDER[quantity.name] for rank in ranks)


def test_every_quantity_of_the_loss_has_a_way_from_the_rollout() -> None:
    roots = {name for name in ancestors("loss") if not BY_NAME[name].made_from}

    assert roots == {"observation", "minibatch"}


def test_ancestors_are_direct_and_indirect_inputs() -> None:
    assert ancestors("observation") == frozenset()
    assert ancestors("log_prob") == {"observation", "action"}
    assert ancestors("stored_log_prob") == {"observation", "action", "log_prob"}


def test_descendants_are_direct_and_indirect_uses() -> None:
    assert direct_uses("policy_loss") == ("loss",)
    assert descendants("policy_loss") == {"loss", "gradient", "clipped_gradient", "parameters", "optimizer_state"}
    for quantity in QUANTITIES:
        assert descendants(quantity.name) == {other for other in ORDER if quantity.name in ancestors(other)}
