from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.planted import benchmark as planted
from tests.planted import false_alarms as alarms
from tests.planted import published
from tests.planted.benchmark import Outcome, Planted
from tests.planted.published import append, as_markdown, commits, falsely_named, read, read_alarms
from tests.planted.reasons import REASONS
from tests.planted.subjects import equivalents, mutants, standalone_bugs

BUG = Planted("adam_eps_1e-8", mutants.MODULE, ("parameters",), ("adam_eps_1e-8",), ("TightBounds",))
RIGHT = Outcome(
    BUG, "parameters", ("parameters",), (("adam_eps_1e-8", "other"),), "explained exactly", "different", 4.2
)
WRONG = dataclasses.replace(
    RIGHT, planted=dataclasses.replace(BUG, name="sgd"), named=(("rmsprop_for_adam",),), found_at="loss"
)


def test_rows_that_were_kept_are_read_again(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    assert (read(file), read_alarms(file)) == ([], [])

    append(file, WRONG)
    append(file, RIGHT)
    assert read(file) == [WRONG, RIGHT]
    assert len(commits(file)) == 2


def test_of_what_was_checked_twice_the_last_counts(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    append(file, RIGHT)
    append(file, dataclasses.replace(RIGHT, verdict="identical"))

    assert [row.verdict for row in read(file)] == ["identical"]


def test_a_name_is_false_when_none_of_its_group_was_planted() -> None:
    assert not falsely_named(RIGHT)
    assert falsely_named(WRONG)
    assert not falsely_named(dataclasses.replace(RIGHT, named=()))


def test_the_page_has_totals_rows_and_every_miss() -> None:
    page = as_markdown([RIGHT, WRONG], [], ["abc", "abc", "def"])

    known = sum(mutant.deviation is not None for mutant in mutants.MUTANTS.values())
    assert f"| Bugs in SB3's own source | 2 | {known} | 2 | 1 | 1 of 2 | 1 |" in page
    assert (
        "| `adam_eps_1e-8` | parameters | parameters | different | adam_eps_1e-8 or other (explained exactly) |" in page
    )
    assert "- `sgd`: found at loss; called rmsprop_for_adam (explained exactly). not looked into yet" in page
    assert "- `adam_eps_1e-8`:" not in page
    assert "Commits of the code that was run: abc, def." in page


def test_kinds_of_subjects_have_tables_of_their_own() -> None:
    pair = dataclasses.replace(RIGHT, planted=dataclasses.replace(BUG, name="a+b", deviations=("a", None)))
    own = dataclasses.replace(RIGHT, planted=dataclasses.replace(BUG, module=standalone_bugs.MODULE))
    same = Planted("x", equivalents.MODULE, (), (), ("TightBounds",), verdict="rounding")
    page = as_markdown([pair, own, dataclasses.replace(RIGHT, planted=same, verdict="rounding", named=())], [])

    titles = [line for line in page.splitlines() if line.startswith("## ")]
    assert titles == [
        "## Every miss",
        "## Bugs in SB3's own source, two at once, in no catalogue",
        "## Bugs in a PPO that shares nothing with SB3",
        "## Right implementations that look different",
    ]


def test_runs_without_bugs_are_counted_by_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.jsonl"
    assert alarms.main(["--seeds", "1", "--copy-weights", "--record", str(file)]) == 0

    assert capsys.readouterr().out.startswith("custom_ppo beside ppo --copy-weights: 4 identical")
    (row,) = read_alarms(file)
    assert row["verdicts"] == {"identical": 4}
    assert "| custom_ppo | ppo | --copy-weights | 4 | 4 | 0 | 0 |" in as_markdown([], [row])


def test_what_is_in_the_record_is_not_checked_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record, page = tmp_path / "rows.jsonl", tmp_path / "page.md"
    append(record, RIGHT)
    options = ["--locate", "--record", str(record), "--markdown", str(page)]
    assert planted.main([*options, "--only", "adam_eps_1e-8", "sgd"]) == 0

    assert "1 subjects, 0 not checked" in capsys.readouterr().out
    assert [row.planted.name for row in read(record)] == ["adam_eps_1e-8", "sgd"]
    assert published.commands(record) == ["planted --locate --only adam_eps_1e-8 sgd"]
    assert "- `planted --locate --only adam_eps_1e-8 sgd`" in page.read_text()
    assert "| `adam_eps_1e-8` |" in page.read_text()
    assert "| `sgd` |" in page.read_text()


def test_reasons_are_given_for_bugs_that_exist() -> None:
    known = {*mutants.MUTANTS, *standalone_bugs.BUGS, *equivalents.EQUIVALENTS}
    assert {one for name in REASONS for one in name.split("+")} <= known
    assert all(reason.endswith(".") for reason in REASONS.values())
    assert published.KINDS
