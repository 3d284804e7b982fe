"""The example of docs/checks.md is run, and prints what the page shows."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from harness.crosscheck import CheckFailed

PAGE = (Path(__file__).parents[2] / "docs" / "checks.md").read_text(encoding="utf-8")
EXAMPLE, WRONG, RIGHT = re.findall(r"```(?:python)?\n(.*?)```", PAGE, re.DOTALL)


def my_gae(rewards: Any, values: Any, dones: Any, next_value: Any, gamma: float, lam: float, *, masked: bool) -> Any:
    advantages, last = np.zeros_like(rewards), 0.0
    for t in reversed(range(len(rewards))):
        following = next_value if t == len(rewards) - 1 else values[t + 1]
        delta = rewards[t] + gamma * following * (1 - dones[t]) - values[t]
        advantages[t] = last = delta + gamma * lam * (1 - dones[t] if masked else 1) * last
    return advantages


def run_example(monkeypatch: pytest.MonkeyPatch, *, masked: bool) -> None:
    module = ModuleType("my_ppo")
    module.my_gae = lambda *arguments: my_gae(*arguments, masked=masked)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_ppo", module)
    exec(EXAMPLE, {})


def test_a_wrong_function_ends_as_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckFailed) as caught:
        run_example(monkeypatch, masked=False)
    shown = WRONG.removesuffix("  ...\n")
    assert f"CheckFailed: {caught.value}\n".startswith(shown)


def test_a_right_function_ends_as_it_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_example(monkeypatch, masked=True)
    assert capsys.readouterr().out == RIGHT
