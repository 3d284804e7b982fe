from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.analysis.frames import load_results
from harness.config.sources import zoo_folder
from harness.zoo import with_hyperparameters

PPO_FILE = str(zoo_folder() / "ppo.yml")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--algo", "custom_ppo"], ["--conf-file", PPO_FILE]),
        (["--algo=custom_ppo"], ["--conf-file", PPO_FILE]),
        (["--algo", "custom_a2c"], ["--conf-file", str(zoo_folder() / "a2c.yml")]),
        (["--algo", "ppo"], []),
        (["--algo", "custom_ppo", "-conf", "mine.yml"], []),
        (["--algo", "custom_ppo", "--conf-file=mine.yml"], []),
        ([], []),
    ],
)
def test_custom_algorithms_use_the_hyperparameter_files_of_sb3s(arguments: list[str], expected: list[str]) -> None:
    assert with_hyperparameters(arguments) == arguments + expected


def test_the_zoo_trains_custom_ppo_in_its_own_layout(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness.zoo", "--algo", "custom_ppo", "--env", "CartPole-v1", "-n", "600"]
    command += ["--seed", "3", "-f", str(tmp_path), "--eval-freq", "256", "--eval-episodes", "1", "--verbose", "0"]

    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    folder = tmp_path / "custom_ppo" / "CartPole-v1_1"
    assert (folder / "CartPole-v1.zip").exists()
    settings = yaml.compose((folder / "CartPole-v1" / "config.yml").read_text(encoding="utf-8"))
    assert settings is not None
    runs = load_results(tmp_path).runs
    assert runs[["algo", "env", "seed", "status"]].to_numpy().tolist() == [["custom_ppo", "CartPole-v1", 3, "foreign"]]
    assert runs["score_source"].tolist() == ["last_evaluation"]
