from __future__ import annotations

import inspect

import pytest
from stable_baselines3 import PPO

from tests.planted.subjects.cleanrl_style import CleanRLStylePPO
from tests.planted.subjects.training import CASES, trained, weights


@pytest.mark.parametrize("world", CASES)
def test_it_trains_with_sb3s_arguments_to_other_weights(world: str) -> None:
    learnt = weights(trained(CleanRLStylePPO, world))

    assert learnt != weights(trained(CleanRLStylePPO, world, n_updates=0))
    assert learnt == weights(trained(CleanRLStylePPO, world))
    assert learnt != weights(trained(PPO, world))


def test_its_arguments_are_sb3s() -> None:
    assert set(inspect.signature(CleanRLStylePPO).parameters) <= set(inspect.signature(PPO).parameters)
