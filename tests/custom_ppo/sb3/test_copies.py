"""Trained models can be copied and pickled; copy and original learn on by themselves."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from custom_ppo import CustomPPO

COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
}


def learn_on(model: CustomPPO) -> list[torch.Tensor]:
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002  the stream of SB3
    model.get_env().seed(1)  # type: ignore[union-attr]
    model.learn(64)
    return [parameter.detach().clone() for parameter in model.policy.parameters()]


@pytest.mark.parametrize("how", list(COPIES))
@pytest.mark.parametrize("engine", ["autograd", "fused", "auto"])
def test_a_copy_learns_as_its_original(engine: Any, how: str) -> None:
    model = CustomPPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=16, device="cpu", seed=0, engine=engine)
    model.learn(64)
    copied = COPIES[how](model)
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    by_copy = learn_on(copied)
    assert all(map(torch.equal, before, model.policy.parameters()))
    assert all(map(torch.equal, by_copy, learn_on(model)))
    assert type(copied.agent.engine) is type(model.agent.engine)
    del copied
    gc.collect()  # frees what the copy alone has
    model.learn(64)
