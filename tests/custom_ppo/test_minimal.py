from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from custom_ppo import minimal

ROOT = Path(__file__).parents[2]


def test_the_minimal_script_learns_cartpole(capsys: pytest.CaptureFixture[str]) -> None:
    means = minimal.train(n_updates=40)
    assert means[-1] > 2 * means[0]
    assert capsys.readouterr().out.splitlines()[-1] == f"update 40 of 40: mean return {means[-1]:.1f}"


@pytest.mark.slow
def test_the_minimal_script_solves_cartpole() -> None:
    assert minimal.train()[-1] > 475


def test_the_minimal_script_fits_on_a_screen() -> None:
    assert len(inspect.getsource(minimal.train).splitlines()) <= 40


def test_the_minimal_script_needs_no_sb3() -> None:
    code = "import sys; from custom_ppo import minimal; minimal.train(n_updates=10); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "stable_baselines3" not in done.stdout


@pytest.mark.parametrize(("argument", "exit_code"), [("--help", 0), ("typo", 2)])
def test_the_script_explains_itself_and_refuses_arguments(argument: str, exit_code: int) -> None:
    done = subprocess.run([sys.executable, "-m", "custom_ppo.minimal", argument], capture_output=True, check=False)

    assert done.returncode == exit_code
    assert b"usage: python -m custom_ppo.minimal" in done.stdout + done.stderr
