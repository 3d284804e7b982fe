from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.config.names import REGISTERED
from harness.errors import UnknownNameError
from harness.training.algorithms import import_module, import_target, load_algorithm


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty working directory that is not on the import path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


@pytest.mark.parametrize("name", REGISTERED)
def test_every_registered_name_loads_a_class_with_learn(name: str) -> None:
    algorithm = load_algorithm(name)

    assert algorithm.__name__ == REGISTERED[name].partition(":")[2]
    assert callable(algorithm.learn)


def message(name: str) -> str:
    with pytest.raises(UnknownNameError) as error:
        load_algorithm(name)
    return str(error.value)


def test_a_misspelt_algorithm_is_reported_with_a_suggestion() -> None:
    known = ", ".join(REGISTERED)
    assert message("pp0") == (
        f"algorithm 'pp0' is not known, did you mean ppo? (registered: {known}; or write package.module:Class)"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "math:sqrt",
            "math:sqrt cannot be trained like an algorithm of stable_baselines3: it has no method learn, predict, save",
        ),
        (
            "collections:OrderedDict",
            "collections:OrderedDict cannot be trained like an algorithm of stable_baselines3: "
            "it has no method learn, predict, save",
        ),
        (
            "nowhere.at_all:PPO",
            "nowhere.at_all:PPO: there is no module nowhere; run from the folder that contains it, or install it",
        ),
        (
            "harness.nowhere:PPO",
            "harness.nowhere:PPO: there is no module harness.nowhere; "
            "run from the folder that contains it, or install it",
        ),
        ("math:", "math:: expected package.module:Class, such as custom_ppo:CustomPPO"),
        (":PPO", ":PPO: expected package.module:Class, such as custom_ppo:CustomPPO"),
        ("stable_baselines3:PP0", "module stable_baselines3 has no PP0, did you mean PPO?"),
    ],
)
def test_an_unusable_target_is_reported_with_the_part_that_is_wrong(name: str, expected: str) -> None:
    assert message(name) == expected


def test_an_object_with_the_methods_that_is_not_a_class_is_refused(working_folder: Path) -> None:
    (working_folder / "an_instance.py").write_text(
        "class A:\n    def learn(self): ...\n    def predict(self): ...\n    def save(self): ...\na = A()\n"
    )

    assert message("an_instance:a") == (
        "an_instance:a cannot be trained like an algorithm of stable_baselines3: it is not a class"
    )


def test_the_required_methods_can_be_reduced(working_folder: Path) -> None:
    (working_folder / "only_learns.py").write_text("class A:\n    def learn(self): ...\n")

    assert message("only_learns:A").endswith(": it has no method predict, save")
    assert load_algorithm("only_learns:A", methods=("learn",)).__name__ == "A"


def test_a_module_of_the_working_directory_is_found(working_folder: Path) -> None:
    (working_folder / "my_agent_module.py").write_text("answer = 42\n")

    assert import_target("my_agent_module:answer") == 42


def test_a_module_that_needs_another_names_the_other(working_folder: Path) -> None:
    (working_folder / "needs_another.py").write_text("import not_installed_at_all\n")

    with pytest.raises(UnknownNameError) as error:
        import_module("needs_another", wanted="needs_another:Agent")

    assert str(error.value) == "needs_another cannot be imported: it needs not_installed_at_all, which is not installed"


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("raises_at_once", "1 / 0", "ZeroDivisionError: division by zero"),
        ("exits_at_once", "raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_module_that_raises_is_named_with_its_error(working_folder: Path, name: str, code: str, said: str) -> None:
    (working_folder / f"{name}.py").write_text(code)

    with pytest.raises(UnknownNameError) as error:
        import_module(name, wanted=f"{name}:Agent")

    assert str(error.value) == f"{name} cannot be imported: {said}"


@pytest.mark.parametrize("there", [True, False])
def test_a_file_name_in_place_of_a_module_is_corrected(working_folder: Path, there: bool) -> None:
    if there:
        (working_folder / "a_file_of_mine.py").write_text("")

    assert message("a_file_of_mine.py:A") == (
        "a_file_of_mine.py:A: write a module without .py, such as a_file_of_mine:A"
    )


@pytest.mark.parametrize("folder", [".", "agents", "/agents"])
def test_a_path_in_place_of_a_module_is_corrected(working_folder: Path, folder: str) -> None:
    assert message(f"{folder}/mine.py:A") == (
        f"{folder}/mine.py:A: a module has no folders; write mine:A "
        f"and run from the folder {(working_folder / folder).resolve()}"
    )
