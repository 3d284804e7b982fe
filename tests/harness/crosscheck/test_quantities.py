from __future__ import annotations

from harness.crosscheck.quantities import ORDER, QUANTITIES, Place, names


def test_places_sort_in_the_order_in_which_numbers_come_about() -> None:
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


def test_every_quantity_has_one_name_and_one_phase() -> None:
    phases = ("start", "rollout", "advantages", "update")

    assert [quantity.name for quantity in QUANTITIES] == list(ORDER)
    assert [name for phase in phases for name in names(phase)] == list(ORDER)  # type: ignore[arg-type]
