from __future__ import annotations

from pathlib import Path

import pytest

from harness.validation import Validation, validate_file
from tests.harness.odd_environments import NAMES

TEXT = """name: trial
algorithms:
  - custom_ppo
  - odd: {class: custom_ppo, kwargs: {recipe: nonsense}}
  - dqn
environments:
  Pendulum-v1: {n_timesteps: 128}
  WIDE: {n_timesteps: 128}
  HANGING: {n_timesteps: 128, env_kwargs: {depth: 3}}
seeds: 0-1
evaluation: {n_evaluations: 1}
""".replace("WIDE", f'"{NAMES["Wide"]}"').replace("HANGING", f'"{NAMES["Raises"]}"')


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.yml").write_text(TEXT)
    return Path("a.yml")


def messages(validation: Validation) -> list[str]:
    return [str(problem) for problem in validation.problems]


def test_findings_are_reported_where_the_file_causes_them(experiment: Path) -> None:
    wide = NAMES["Wide"]

    validation = validate_file(experiment, trusted=["tests"])

    assert validation.config is None
    assert messages(validation) == [
        "a.yml:4:39: algorithms[1].odd.kwargs.recipe: custom_ppo cannot be built in Pendulum-v1: InvalidConfigError: "
        "there is no recipe 'nonsense', expected one of ppo, a2c, ppo_penalty, cleanrl_ppo, or a Recipe",
        f"a.yml:4:39: algorithms[1].odd.kwargs.recipe: custom_ppo cannot be built in {wide}: InvalidConfigError: "
        "there is no recipe 'nonsense', expected one of ppo, a2c, ppo_penalty, cleanrl_ppo, or a Recipe",
        "a.yml:5:5: algorithms[2]: dqn cannot act in Pendulum-v1: it supports Discrete actions, not "
        "Box(-2.0, 2.0, (1,), float32)",
        f"a.yml:5:5: algorithms[2]: dqn cannot act in {wide}: it supports Discrete actions, not "
        "Box(0.0, 255.0, (1,), float32)",
        f"a.yml:9:66: environments.{NAMES['Raises']}.env_kwargs: {NAMES['Raises']} has no argument depth",
    ]
    assert validation.notes == (
        f"{wide}: its actions lie in [0, 255]; a policy starts around 0 with deviation 1: rescale to [-1, 1]",
    )


def test_an_environment_that_cannot_be_made_does_not_hinder_the_others(experiment: Path) -> None:
    experiment.write_text(
        TEXT.replace(", env_kwargs: {depth: 3}", "").replace("nonsense", "ppo").replace("  - dqn\n", "")
    )

    validation = validate_file(experiment, trusted=["tests"])

    assert (validation.problems, validation.config is not None) == ((), True)
    assert [str(fault) for fault in validation.faults] == [
        f"a.yml:8:3: environments.{NAMES['Raises']}: {NAMES['Raises']} cannot be built: RuntimeError: no rotor"
    ]


def test_nothing_of_a_package_that_is_not_trusted_is_tried_out(experiment: Path) -> None:
    found = messages(validate_file(experiment))

    assert [message.partition(" would import ")[2][:6] for message in found] == ["tests,", "tests,"]
    assert messages(validate_file(experiment, try_out=False)) == found


def test_without_trying_out_a_readable_file_is_accepted(experiment: Path) -> None:
    validation = validate_file(experiment, trusted=["tests"], try_out=False)

    assert validation.problems == ()
    assert validation.config is not None
    assert validation.config.trusted_packages == ("tests",)


def test_mistakes_of_the_file_and_of_its_environments_are_reported_together(experiment: Path) -> None:
    experiment.write_text(TEXT.replace("0-1", "9-0").replace("nonsense", "ppo").replace("  - dqn\n", ""))

    found = messages(validate_file(experiment, trusted=["tests"]))

    assert [message.split(" ")[0] for message in found] == ["a.yml:8:66:", "a.yml:9:1:"]


def test_a_file_that_cannot_be_read_is_one_problem() -> None:
    assert messages(validate_file(Path("nowhere.yml"))) == ["nowhere.yml: does not exist"]


def test_a_missing_program_for_logs_is_named_with_its_extra(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment.write_text("name: a\nalgorithms: [ppo]\nenvironments: {CartPole-v1: {n_timesteps: 128}}\nseeds: 1\n"
                          "evaluation: {n_evaluations: 1}\nlogging: [wandb]\n")  # fmt: skip
    assert messages(validate_file(experiment, try_out=False)) == []

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    assert messages(validate_file(experiment, try_out=False)) == [
        "a.yml:6:11: logging[0]: wandb is not installed; the extra [wandb] of this project installs it"
    ]
