from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.custom_ppo.sb3_suite import main, name_of, report


def result(outcome: str, constructed: int = 1, message: str = "") -> dict[str, Any]:
    return {"outcome": outcome, "constructed": constructed, "message": message}


def test_only_tests_that_construct_a_ppo_and_pass_with_sb3s_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    theirs = {
        "equal": result("passed"),
        "ours fails": result("passed"),
        "ours is missing": result("passed"),
        "ours is not used": result("passed"),
        "both fail": result("failed"),
        "constructs none": result("passed", constructed=0),
    }
    ours = {
        "equal": result("passed"),
        "ours fails": result("failed", message="E   AttributeError: size"),
        "ours is not used": result("passed", constructed=0),
        "both fail": result("failed"),
        "constructs none": result("failed"),
    }
    assert report(theirs, ours) == 3
    assert capsys.readouterr().out.splitlines() == [
        "ours fails: E   AttributeError: size",
        "ours is missing: not run",
        "ours is not used: no CustomPPO was constructed",
        "CustomPPO passes 1 of the 4 tests that construct a PPO and that SB3's passes",
    ]


def test_a_test_has_one_name_whichever_class_is_its_parameter() -> None:
    assert name_of("tests/test_cnn.py::test_cnn[True-CustomPPO]") == "tests/test_cnn.py::test_cnn[True-PPO]"


def test_a_folder_that_is_no_checkout_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sb3_suite", "--tests", str(tmp_path)])

    with pytest.raises(SystemExit) as exit_code:
        main()

    assert exit_code.value.code == 2
    assert "there is no folder tests in it, expected a checkout of SB3" in capsys.readouterr().err
