from __future__ import annotations

from pathlib import Path

import gymnasium
import pytest

from custom_ppo.engines.native import library
from harness.training.preflight import check_runs, find_problems
from tests.harness.toy_subjects import FAULTY_ENV, MODULE, tiny_spec


def test_runs_that_can_start_have_no_problems() -> None:
    assert find_problems([tiny_spec("ppo"), tiny_spec("custom_ppo"), tiny_spec(env=FAULTY_ENV, normalize=True)]) == []


def test_all_problems_are_reported_and_each_one_once() -> None:
    specs = [
        tiny_spec("ppo", "CartPol-v1", seed=0),
        tiny_spec("custom_ppo", "CartPol-v1", seed=1),
        tiny_spec("nowhere:Agent"),
        tiny_spec(f"{MODULE}:RaisesInConstructor"),
        tiny_spec(gae_lamda=1.0, seed=3),
    ]

    assert find_problems(specs) == [
        "environment 'CartPol-v1' is not registered with gymnasium, did you mean CartPole-v1?",
        "nowhere:Agent: there is no module nowhere; run from the folder that contains it, or install it",
        "RaisesInConstructor on CartPole-v1 cannot be built: ValueError: no such reactor",
        "ppo on CartPole-v1: PPO has no argument gae_lamda, did you mean gae_lambda?",
    ]


def test_an_environment_that_needs_arguments_is_built_with_them() -> None:
    gymnasium.register("NeedsArguments-v0", lambda size: gymnasium.make("CartPole-v1"))
    try:
        assert find_problems([tiny_spec(env="NeedsArguments-v0", env_kwargs={"size": 3})]) == []
        (problem,) = find_problems([tiny_spec(env="NeedsArguments-v0")])
    finally:
        del gymnasium.registry["NeedsArguments-v0"]
    assert problem.startswith("ppo on NeedsArguments-v0 cannot be built: TypeError: ")
    assert "missing 1 required positional argument: 'size'" in problem


def test_spaces_that_the_algorithm_does_not_support_are_a_problem() -> None:
    (problem,) = find_problems([tiny_spec("dqn", "Pendulum-v1", n_steps=None, n_epochs=None)])

    assert problem.startswith("dqn on Pendulum-v1 cannot be built: AssertionError: ")


def test_kernels_that_are_missed_are_noted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_outcome", lambda: "there are none; make some")
    specs = [tiny_spec("ppo"), tiny_spec("custom_ppo"), tiny_spec("custom_ppo", FAULTY_ENV)]

    assert check_runs(specs) == ([], ["engine: fused (native is not available: there are none; make some)"])
    assert check_runs(specs[:1]) == ([], [])


def test_the_preflight_writes_and_prints_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    find_problems([tiny_spec()])

    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_an_environment_that_cannot_be_made_is_noted_and_no_problem() -> None:
    spec = tiny_spec(env=FAULTY_ENV, env_kwargs={"trouble": "raise", "when": "constructor"})

    assert check_runs([spec]) == (
        [],
        [
            f"{FAULTY_ENV} cannot be made (RuntimeError: the rotor fell off [/dev/rotor]): "
            "its runs are started all the same"
        ],
    )
