"""The picture of the architecture shows what tests/test_import_graph.py allows, and nothing else."""

from __future__ import annotations

import pytest

from tests.docs.picture import PAGE, PICTURE, Graph, arrows_of_svg, graphs, page_with_table, reduced, svg

ANEW = "made anew by: python -m tests.docs.picture"


def reached(arrows: dict[str, set[str]], part: str) -> set[str]:
    """Parts that a chain of arrows leads to."""
    return set().union(*({used} | reached(arrows, used) for used in arrows.get(part, ())))


@pytest.mark.parametrize("panel", graphs(), ids=lambda panel: panel.title)
def test_arrows_of_the_picture_are_those_that_imports_may_take(panel: Graph) -> None:
    drawn = arrows_of_svg(PICTURE.read_text(encoding="utf-8"), panel.title)
    for part, allowed in panel.arrows.items():
        assert drawn.get(part, set()) <= allowed, f"{part}: {ANEW}"
        assert allowed <= reached(drawn, part), f"{part}: {ANEW}"


def test_picture_and_table_are_up_to_date() -> None:
    assert PICTURE.read_text(encoding="utf-8") == svg(graphs()), ANEW
    page = PAGE.read_text(encoding="utf-8")
    assert page == page_with_table(page), ANEW


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    arrows = {"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset()}
    assert reduced(arrows) == {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset()}


def test_a_picture_needs_nothing_from_the_network() -> None:
    assert "http" not in PICTURE.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")


def test_arrows_can_be_read_back_from_a_picture() -> None:
    assert arrows_of_svg(svg([Graph("small", {"a": frozenset("b"), "b": frozenset()})]), "small") == {"a": {"b"}}
