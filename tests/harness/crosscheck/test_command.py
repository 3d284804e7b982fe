from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.crosscheck.command import run_crosscheck
from harness.errors import ConfigError, HarnessError

YAML = """\
CartPole-v1:
  n_envs: 2
  n_timesteps: !!float 1e4
  policy: MlpPolicy
  n_steps: 16
  batch_size: 8
  n_epochs: 2
  learning_rate: lin_1e-3
  normalize: true
"""


def run_command(subject: str = "ppo", **options: Any) -> tuple[str, str]:
    """Verdict and printed text of a small cross-check."""
    output = StringIO()
    usual: dict[str, Any] = {"profile": "stress", "envs": ("CartPole15",), "seeds": [0], "updates": 1}
    files: dict[str, Any] = {"hyperparameters": None, "json_file": None, "figure": None}
    verdict = run_crosscheck(Console(file=output, width=120), subject, "ppo", **{**usual, **files, **options})
    return verdict, output.getvalue()


def test_the_result_is_printed_and_its_verdict_returned(tmp_path: Path) -> None:
    verdict, output = run_command("tests.harness.toy_subjects:NoValueLoss", json_file=tmp_path / "found.json")

    assert verdict == "different"
    assert "different in 1 of 1 run" in output
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["verdict"], found["runs"][0]["first"]["quantity"]) == ("different", "loss")


@pytest.mark.parametrize(("name", "stem"), [("map.svg", "map"), ("map.png", "map"), ("map", "map"), ("v1.2", "v1.2")])
def test_a_figure_is_written_as_svg_and_png(tmp_path: Path, name: str, stem: str) -> None:
    run_command(figure=tmp_path / name)

    assert {path.name for path in tmp_path.iterdir()} == {f"{stem}.svg", f"{stem}.png"}


@pytest.mark.parametrize("option", ["json_file", "figure"])
def test_a_path_that_cannot_be_written_is_refused_before_anything_is_run(tmp_path: Path, option: str) -> None:
    with pytest.raises(HarnessError, match=r"^.*/no/found cannot be written: there is no folder .*/no$"):
        run_command("nobody", **{option: tmp_path / "no" / "found"})
    with pytest.raises(HarnessError, match=r" cannot be written: it is a folder, a file was expected$"):
        run_command("nobody", **{option: tmp_path})


def test_settings_of_a_file_are_used_with_its_normalisation(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text(YAML)

    verdict, output = run_command(
        "custom_ppo", envs=("CartPole-v1",), updates=None, hyperparameters=tmp_path / "mine.yml"
    )

    assert verdict == "identical"
    assert "profile mine.yml" in output
    assert "16 optimiser steps in 1 run" in output  # two updates, two epochs, four minibatches


def test_a_file_needs_an_environment(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"^--hyperparameters needs --env"):
        run_command(envs=(), hyperparameters=tmp_path / "mine.yml")
    with pytest.raises(ConfigError, match=rf"^{tmp_path}/mine\.yml: does not exist$"):
        run_command(envs=("CartPole-v1",), hyperparameters=tmp_path / "mine.yml")
    with pytest.raises(ConfigError, match=rf"^{tmp_path}: is a folder, expected a YAML file$"):
        run_command(envs=("CartPole-v1",), hyperparameters=tmp_path)
