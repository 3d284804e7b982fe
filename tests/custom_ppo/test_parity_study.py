"""Many random ways to train, each by SB3's PPO and by CustomPPO: every one must end in the same bits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from custom_ppo import CustomPPO
from custom_ppo.recipe import SB3_PPO
from tests.custom_ppo import combinations
from tests.custom_ppo.combinations import ACTIONS, OBSERVATIONS, REAL_ENVS, compare, draw

N_COMBINATIONS = int(os.environ.get("PARITY_COMBINATIONS", "60"))
"""Number of combinations that `make test-slow` trains; set the variable for more."""


@pytest.mark.slow
@pytest.mark.parametrize("number", range(N_COMBINATIONS))
def test_a_random_combination_trains_to_sb3s_bits(number: int) -> None:
    result = compare(draw(number))
    assert result.reasons == (), dict(result.combination.words)


def test_a_combination_follows_from_its_number_alone() -> None:
    def told(number: int) -> dict[str, str]:
        combination = draw(number)
        return {name: str(value) for name, value in combination.arguments.items() if not callable(value)}

    assert told(3) == told(3) != told(4)


def test_the_combinations_reach_every_kind_of_everything() -> None:
    words = [draw(number).words for number in range(200)]
    assert {word["observations"] for word in words} == {"real environment", *OBSERVATIONS}
    assert {word["actions"] for word in words} == {*REAL_ENVS, *ACTIONS}
    assert {word["policy"] for word in words} == {"MlpPolicy", "CnnPolicy", "MultiInputPolicy"}
    for axis, n_words in {
        "wrapper": 8,
        "processes": 2,
        "gSDE": 2,
        "early stopping": 2,
        "value clipping": 2,
        "optimiser": 7,
    }.items():
        assert len({word[axis] for word in words}) == n_words, axis


def plainest() -> combinations.Combination:
    """A combination without anything special, so that a fault alone can be blamed."""
    plain = {"n_envs": 2, "n_steps": 16, "n_iterations": 2, "policy_kwargs": {}, "seed": 0, "env": "CartPole-v1"}
    return combinations.Combination(0, {}, plain)


def test_equal_trainings_have_no_differences() -> None:
    assert compare(plainest()).reasons == ()


class Faulty(CustomPPO):
    """One last bit of one advantage is wrong."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        def nudged(advantages: Tensor) -> Tensor:
            result = SB3_PPO.normalize_advantages(advantages)
            result[0] = torch.nextafter(result[0], result[0] + 1)
            return result

        super().__init__(*args, recipe=SB3_PPO.replace(normalize_advantages=nudged), **kwargs)


class Failing(CustomPPO):
    """Does not train at all."""

    def train(self) -> None:
        raise ArithmeticError("no")


class Forgetful(CustomPPO):
    """Draws one random number too many at the very end."""

    def learn(self, *args: Any, **kwargs: Any) -> Any:
        super().learn(*args, **kwargs)
        torch.rand(1)
        return self


@pytest.mark.parametrize(
    ("subject", "reasons"),
    [
        (Faulty, {"weights: mlp_extractor.policy_net.0.weight", "optimiser, parameter 0: exp_avg"}),
        (Failing, {"Failing failed: ArithmeticError: no"}),
        (Forgetful, {"random generator of torch"}),
    ],
)
def test_a_planted_fault_is_reported(subject: type[CustomPPO], reasons: set[str]) -> None:
    assert reasons <= set(compare(plainest(), subject).reasons)


def test_the_table_counts_and_names_what_failed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def outcomes() -> Iterator[combinations.Result]:
        combination = combinations.Combination(7, {"policy": "MlpPolicy"}, {})
        yield combinations.Result(combination, (), "FusedEngine")
        yield combinations.Result(combination, ("weights: log_std",), "AutogradEngine")

    made = outcomes()
    monkeypatch.setattr(combinations, "compare", lambda *_: next(made))
    monkeypatch.setattr("sys.argv", ["combinations", "2"])
    assert combinations.main() == 1
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["all", "2", "1"] in lines
    assert ["policy:", "MlpPolicy", "2", "1"] in lines
    assert ["engine:", "FusedEngine", "1", "1"] in lines
    assert ["weights:", "log_std"] in lines
