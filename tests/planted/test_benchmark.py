from __future__ import annotations

from pathlib import Path

import pytest

from tests.planted import benchmark, false_alarms
from tests.planted.outcomes import Outcome
from tests.planted.page import as_markdown
from tests.planted.records import append, commands, read, read_alarms
from tests.planted.selection import named


def test_the_cross_check_locates_two_bugs_at_once() -> None:
    both = named("sb3", "gae_lambda_missing_in_recursion+gradients_not_clipped")
    outcome = benchmark.check(both, seconds=0, locate=True)

    assert outcome.found_at == "advantage"
    assert outcome.isolated
    assert outcome.rightly_named is None


def test_the_table_is_printed_with_totals(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["--locate", "--subjects", "standalone", "--only", "timeout_is_termination"]) == 0

    out = capsys.readouterr().out
    assert "timeout_is_termination" in out
    assert "1 subjects, 0 not checked" in out
    assert "first divergence at the expected quantity: 0, later: 1, before: 0" in out


def test_recorded_subjects_are_not_checked_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record, page = tmp_path / "rows.jsonl", tmp_path / "page.md"
    recorded = named("sb3", "adam_eps_1e-8")
    append(record, Outcome(recorded, "parameters", (), (("adam_eps_1e-8",),), "explained exactly", "different", 4.2))
    options = ["--locate", "--record", str(record), "--markdown", str(page)]
    assert benchmark.main([*options, "--only", "adam_eps_1e-8", "sgd"]) == 0

    assert "1 subjects, 0 not checked" in capsys.readouterr().out
    assert [row.planted.name for row in read(record)] == ["adam_eps_1e-8", "sgd"]
    assert commands(record) == ["benchmark --locate --only adam_eps_1e-8 sgd"]
    assert "- `benchmark --locate --only adam_eps_1e-8 sgd`" in page.read_text()
    assert "| `adam_eps_1e-8` |" in page.read_text()
    assert "| `sgd` |" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "adam_eps_1e-8+sdg"], "no planted bug or subject is named 'sdg', did you mean sgd?"),
        (
            ["--pairs", "2", "--subjects", "equivalents"],
            "--pairs and --triples combine bugs, and equivalents have none",
        ),
    ],
)
def test_wrong_arguments_are_explained(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(arguments)

    assert message in capsys.readouterr().err


def test_runs_without_bugs_are_counted_by_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.jsonl"
    assert false_alarms.main(["--seeds", "1", "--copy-weights", "--record", str(file)]) == 0

    assert capsys.readouterr().out.startswith("custom_ppo against ppo --copy-weights: 4 identical")
    (row,) = read_alarms(file)
    assert row["verdicts"] == {"identical": 4}
    assert "| custom_ppo | ppo | --copy-weights | 4 | 4 | 0 | 0 |" in as_markdown([], [row])


@pytest.mark.parametrize("program", [benchmark, false_alarms])
def test_help_shows_examples(program: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        program.main(["--help"])  # type: ignore[attr-defined]

    assert f"python -m {program.__name__} --" in capsys.readouterr().out  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sample", "-1"], "are counts, expected at least 0"),
        (["--record", "/no/such/file.jsonl"], "cannot be written: there is no folder /no/such"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_run(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(arguments)

    assert message in capsys.readouterr().err
