from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from harness.config.sources import zoo_folder
from tests.custom_ppo import zoo_entries
from tests.custom_ppo.zoo_entries import Caps, Entry, Row, compare, entries, markdown

SMALL = Caps(n_updates=2, n_envs=3, rollout=48, n_epochs=2)


def entry(algo: str, name: str) -> Entry:
    return next(entry for entry in entries(algo, SMALL) if entry.name == name)


@pytest.mark.slow
@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_every_entry_that_can_be_created_trains_to_sb3s_bits(algo: str) -> None:
    rows = [compare(entry) for entry in entries(algo)]
    assert [(row.entry.name, row.reason) for row in rows if row.outcome == "not equal"] == []
    assert sum(row.outcome == "equal" for row in rows) >= 10


@pytest.mark.parametrize(
    ("algo", "name", "package"),
    [
        ("ppo", "CartPole-v1", "gymnasium"),
        ("ppo", "MountainCarContinuous-v0", "gymnasium"),  # gSDE, VecNormalize
        ("ppo", "CarRacing-v3", "cv2"),  # images: wrappers, stacked frames, normalised rewards, gSDE
        ("ppo", "Hopper-v4", "mujoco"),
        ("ppo", "atari", "ale_py"),
        ("ppo", "MiniGrid-Unlock-v0", "minigrid"),
        ("ppo", "HopperBulletEnv-v0", "pybullet_envs_gymnasium"),
        ("a2c", "Pendulum-v1", "gymnasium"),
        ("a2c", "atari", "ale_py"),  # RMSpropTFLike
    ],
)
def test_an_entry_trains_to_sb3s_bits(algo: str, name: str, package: str) -> None:
    pytest.importorskip(package)
    row = compare(entry(algo, name))
    assert (row.outcome, row.reason) == ("equal", "")
    assert row.n_compared > 10_000


def test_a_planted_fault_is_reported() -> None:
    row = compare(entry("ppo", "CartPole-v1"), "tests.custom_ppo.test_parity_study:Faulty")
    assert row.outcome == "not equal"
    assert row.reason.startswith("weights: mlp_extractor.policy_net.0.")


def test_the_entries_are_those_of_the_file() -> None:
    found = list(entries("ppo"))
    lines = (zoo_folder() / "ppo.yml").read_text().splitlines()
    assert list(dict.fromkeys(entry.name for entry in found)) == [
        line.partition(":")[0] for line in lines if line[:1].isalpha()
    ]
    by_env = {entry.env: entry for entry in found}
    assert by_env["PongNoFrameskip-v4"].hyperparams["learning_rate"] == "lin_2.5e-4"
    assert by_env["Reacher-v4"].name == "Reacher-v2"
    assert by_env["HalfCheetah-v4"].hyperparams["gamma"] == 0.98


def test_only_the_sizes_are_capped() -> None:
    full, capped = (next(e for e in entries("ppo", caps) if e.name == "BipedalWalker-v3") for caps in (None, SMALL))
    sizes = {"n_envs": 3, "n_steps": 16, "n_epochs": 2}
    assert capped.hyperparams == {**full.hyperparams, **sizes}
    assert capped.n_timesteps == 2 * 48
    assert full.hyperparams["n_epochs"] == 10


def test_short_rollouts_get_more_updates() -> None:
    caps = Caps(n_updates=3, n_envs=1, rollout=64, n_epochs=1, at_least=100)
    assert [caps.n_timesteps(rollout) for rollout in (64, 8, 33, 34)] == [192, 104, 132, 102]


def test_an_environment_that_no_package_has_is_reported() -> None:
    row = compare(entry("ppo", "MinitaurBulletEnv-v0"))
    assert row.outcome == "not created"
    assert row.reason == "PyBullet's environments for Gymnasium (pybullet_envs_gymnasium) have no Minitaur"


def test_a_missing_package_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "minigrid" else find(name))
    monkeypatch.setattr("harness.training.envs.vectorized.gymnasium.registry", {})
    row = compare(entry("ppo", "MiniGrid-Unlock-v0"))
    assert row == Row(
        row.entry,
        "not created",
        "environment 'MiniGrid-Unlock-v0' needs minigrid, which is not installed; "
        "the extra [minigrid] of this project installs it",
    )


def test_the_zoo_is_read_without_its_code() -> None:
    pytest.importorskip("cv2")
    code = (
        "import sys; from tests.custom_ppo.zoo_entries import compare, entries, Caps\n"
        "car = next(entry for entry in entries('ppo', Caps(1, 1, 8, 1)) if entry.name == 'CarRacing-v3')\n"
        "print(compare(car).outcome, 'rl_zoo3' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["equal", "False"], done.stderr


def test_the_table_counts_and_says_why() -> None:
    made = entry("ppo", "CartPole-v1"), entry("ppo", "MountainCarContinuous-v0"), entry("ppo", "Acrobot-v1")
    text = markdown(
        [
            Row(made[0], "equal", "", "fused", 12, 1234, 1.26),
            Row(made[1], "not equal", "weights: log_std", "autograd", 8, 10, 2.0),
            Row(made[2], "not created", "no such thing"),
        ]
    )
    assert "- `ppo.yml`: 3 entries, 3 trainings: 1 equal, 1 not equal, 1 not created." in text
    assert "| ppo.yml | CartPole-v1 | CartPole-v1 | MlpPolicy | fused | equal | 96 | 12 | 1,234 | 1.3 |" in text
    assert "| MlpPolicy, gSDE | autograd | not equal: weights: log_std | 16 | 8 | 10 | 2.0 |" in text
    assert "| Acrobot-v1 | MlpPolicy |  | not created: no such thing |  |  |  |  |" in text


@pytest.mark.parametrize(("outcome", "code"), [("equal", 0), ("not created", 0), ("not equal", 1)])
def test_the_exit_code_says_whether_all_are_equal(
    outcome: str, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(zoo_entries, "compare", lambda entry: Row(entry, outcome, "x"))
    monkeypatch.setattr("sys.argv", ["zoo_entries", "--only", "cartpole", "--out", str(tmp_path / "table.md")])
    assert zoo_entries.main() == code
    assert capsys.readouterr().out == ""
    assert (tmp_path / "table.md").read_text().count("| CartPole-v1 | CartPole-v1 |") == 2


def test_a_name_that_no_entry_has_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["zoo_entries", "--only", "Cartpoel"])
    with pytest.raises(SystemExit, match="2"):
        zoo_entries.main()
    assert "no entry has a name that holds Cartpoel" in capsys.readouterr().err
