from __future__ import annotations

import dataclasses

from tests.planted.known_misses import REASONS
from tests.planted.outcomes import Outcome
from tests.planted.page import as_markdown
from tests.planted.selection import Planted
from tests.planted.subjects import equivalents, mutants, standalone_bugs

BUG = Planted("adam_eps_1e-8", mutants.MODULE, ("parameters",), ("adam_eps_1e-8",), ("TightBounds",))
FOUND = Outcome(
    BUG, "parameters", ("parameters",), (("adam_eps_1e-8", "other"),), "explained exactly", "different", 4.2
)
MISSED = dataclasses.replace(
    FOUND, planted=dataclasses.replace(BUG, name="sgd"), named=(("rmsprop_for_adam",),), found_at="loss"
)


def test_the_page_has_totals_rows_and_every_miss() -> None:
    page = as_markdown([FOUND, MISSED], [], ["abc", "abc", "def"])

    listed = sum(mutant.deviation is not None for mutant in mutants.MUTANTS.values())
    assert f"| Bugs in SB3's own source | 2 | {listed} | 2 | 1 | 1 of 2 | 1 |" in page
    assert (
        "| `adam_eps_1e-8` | parameters | parameters | different | adam_eps_1e-8 or other (explained exactly) |" in page
    )
    assert "- `sgd`: found at loss; named rmsprop_for_adam (explained exactly). Not explained yet." in page
    assert "- `adam_eps_1e-8`:" not in page
    assert "Commits of the code that was run: abc, def." in page


def test_each_kind_of_subject_has_its_table() -> None:
    pair = dataclasses.replace(FOUND, planted=dataclasses.replace(BUG, name="a+b", deviations=("a", None)))
    own = dataclasses.replace(FOUND, planted=dataclasses.replace(BUG, module=standalone_bugs.MODULE))
    same = Planted("x", equivalents.MODULE, (), (), ("TightBounds",), expected_verdict="rounding")
    page = as_markdown([pair, own, dataclasses.replace(FOUND, planted=same, verdict="rounding", named=())], [])

    titles = [line for line in page.splitlines() if line.startswith("## ")]
    assert titles == [
        "## Every miss",
        "## Bugs in SB3's own source, two at once, not in the catalogue",
        "## Bugs in a PPO that shares no code with SB3",
        "## Correct implementations that look different",
    ]


def test_reasons_are_given_for_existing_bugs() -> None:
    existing = {*mutants.MUTANTS, *standalone_bugs.BUGS, *equivalents.EQUIVALENTS}

    assert {one for name in REASONS for one in name.split("+")} <= existing
    assert all(reason.endswith(".") for reason in REASONS.values())
