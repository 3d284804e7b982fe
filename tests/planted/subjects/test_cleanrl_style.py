from __future__ import annotations

import inspect

import pytest
from stable_baselines3 import PPO

from tests.planted.subjects.cleanrl_style import CleanRLStylePPO
from tests.planted.subjects.training import CASES, trained, weights


@pytest.mark.parametrize("env", CASES)
def test_it_trains_reproducibly_to_other_weights_than_sb3(env: str) -> None:
    learnt = weights(trained(CleanRLStylePPO, env))

    assert learnt != weights(trained(CleanRLStylePPO, env, n_updates=0))
    assert learnt == weights(trained(CleanRLStylePPO, env))
    assert learnt != weights(trained(PPO, env))


def test_its_arguments_are_sb3s() -> None:
    assert set(inspect.signature(CleanRLStylePPO).parameters) <= set(inspect.signature(PPO).parameters)
