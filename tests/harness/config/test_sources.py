from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from harness.config.documents import Located, PlacedError, parse_document
from harness.config.sources import find_entry, zoo_folder
from harness.errors import ConfigError

Check = Callable[..., list[str]]


def source(text: str) -> Located:
    return parse_document(text, "zoo.yml").root


@pytest.mark.parametrize(
    ("env", "key"),
    [
        ("CartPole-v1", "CartPole-v1"),
        ("ALE/Pong-v5", "atari"),
        ("PongNoFrameskip-v4", "atari"),
        ("Other-v0", "default"),
    ],
)
def test_an_entry_is_looked_up_in_the_order_of_the_zoo(env: str, key: str) -> None:
    text = "default: {n: default}\natari: {n: atari}\nCartPole-v1: {n: CartPole-v1}"
    assert find_entry(source(text), env).value == {"n": key}


def test_an_atari_game_takes_the_default_of_a_file_without_atari() -> None:
    assert find_entry(source("default: {n: 1}"), "ALE/Pong-v5").value == {"n": 1}


def test_a_missing_entry_is_reported_with_the_closest_environments() -> None:
    with pytest.raises(
        ConfigError, match=r"^zoo\.yml has no entry for CartPole-v0 and no default, the closest are Cart"
    ):
        find_entry(source("CartPole-v1: {}\nPendulum-v1: {}"), "CartPole-v0")


def test_an_entry_must_be_a_mapping() -> None:
    with pytest.raises(PlacedError, match=r"^zoo\.yml:1:1: CartPole-v1: expected a mapping of hyperparameters, got 3$"):
        find_entry(source("CartPole-v1: 3"), "CartPole-v1")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("pp.yml", "a.yml:5: hyperparameters.ppo: pp.yml: does not exist, did you mean ppo.yml?"),
        ("3", "a.yml:5: hyperparameters.ppo: expected a file, the word zoo, or a mapping of environments, got 3"),
        ("list.yml", "list.yml:1: expected a mapping of environments to hyperparameters, got a list"),
        ("empty.yml", "empty.yml:1: expected a mapping of environments to hyperparameters, got nothing"),
        ("broken.yml", "broken.yml:2: is not YAML: mapping values are not allowed here"),
        (".", "a.yml:5: hyperparameters.ppo: .: is a folder, expected a YAML file"),
    ],
)
def test_an_unusable_file_is_reported_where_the_mistake_is(
    check: Check, folder: Path, value: str, message: str
) -> None:
    (folder / "ppo.yml").write_text("default: {policy: MlpPolicy}")
    (folder / "list.yml").write_text("- default")
    (folder / "empty.yml").write_text("")
    (folder / "broken.yml").write_text("a: 1\nb: c: d")
    assert message in check(hyperparameters=f"{{ppo: {value}}}")


def test_a_section_that_is_not_a_mapping_is_one_problem(check: Check) -> None:
    expected = "a.yml:5: hyperparameters: expected a mapping of algorithms to files, got a list"
    assert check(hyperparameters="[ppo]") == [expected]


def test_a_mistake_in_a_file_is_reported_in_that_file_once_for_all_algorithms(check: Check, folder: Path) -> None:
    (folder / "ppo.yml").write_text("default:\n  policy: MlpPolicy\n  n_step: 3\n")
    found = check(algorithms="[custom_ppo, ppo]", hyperparameters="{ppo: ppo.yml}")
    assert found == ["ppo.yml:3: default.n_step: unknown key, did you mean n_steps?"]


def test_the_word_zoo_is_the_file_of_the_installed_zoo(check: Check) -> None:
    assert check(hyperparameters="{ppo: zoo}") == []
    assert check(algorithms="[custom_ppo]", hyperparameters="{custom_ppo: zoo}") == []


def test_an_algorithm_without_a_file_in_the_zoo_is_refused(check: Check) -> None:
    (found,) = check(algorithms="[{ppp: {class: ppo}}]", hyperparameters="{ppp: zoo}")[:1]
    assert found == "a.yml:5: hyperparameters.ppp: rl_zoo3 has no hyperparameters for ppp, did you mean ppo?"


def test_a_zoo_that_is_not_installed_is_reported(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    expected = "a.yml:5: hyperparameters.ppo: rl_zoo3 is not installed; install it, or name a file instead of `zoo`"
    assert expected in check(hyperparameters="{ppo: zoo}")


@pytest.mark.parametrize("name", ["ppo.yml", "a2c.yml", "trpo.yml", "sac.yml", "ppo_lstm.yml"])
def test_the_files_of_the_zoo_are_read_as_pyyaml_reads_them(name: str) -> None:
    text = (zoo_folder() / name).read_text()
    assert parse_document(text, name).data == yaml.safe_load(text)


def test_reading_a_file_of_the_zoo_imports_neither_rl_zoo3_nor_torch(folder: Path) -> None:
    (folder / "a.yml").write_text(
        "name: a\nalgorithms: [ppo]\nenvironments: {CartPole-v1: }\nseeds: 1\nhyperparameters: {ppo: zoo}\n"
    )
    code = (
        "import sys; from pathlib import Path; from harness.config import load_config\n"
        "from harness.experiment.plan import plan\n"
        "(run,) = plan(load_config(Path('a.yml'))); assert run.hyperparams['n_steps'] == 32\n"
        "print(sorted({'rl_zoo3', 'torch', 'stable_baselines3', 'gymnasium', 'numpy'} & set(sys.modules)))"
    )
    package = Path(sys.modules["harness"].__path__[0]).parent
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(package)}
    )
    assert done.stdout == "[]\n"
