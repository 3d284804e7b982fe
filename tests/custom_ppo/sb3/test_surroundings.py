"""Settings of PyTorch, and patched classes, have the effect on fast engines that they have on autograd's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from gymnasium import spaces

from custom_ppo import CustomPPO
from custom_ppo.networks import ActorCritic
from tests.probe_envs import RandomWorld

ACTIONS = [spaces.Discrete(3), spaces.Box(-1, 1, (2,))]


@pytest.fixture(autouse=True)
def _default_dtype() -> Iterator[None]:
    yield
    torch.set_default_dtype(torch.float32)


def trained(engine: Any, actions: spaces.Space[Any], change: Callable[[CustomPPO], None]) -> list[torch.Tensor]:
    env = RandomWorld(spaces.Box(-1, 1, (3,)), actions, 7)
    model = CustomPPO("MlpPolicy", env, n_steps=32, batch_size=16, n_epochs=2, seed=0, device="cpu", engine=engine)
    change(model)
    model.learn(96)
    torch.set_default_dtype(torch.float32)
    return list(model.policy.parameters())


def assert_as_autograd(engine: str, actions: spaces.Space[Any], change: Callable[[CustomPPO], None]) -> None:
    ours, theirs = trained(engine, actions, change), trained("autograd", actions, change)
    assert all(map(torch.equal, ours, theirs))


@pytest.mark.parametrize("engine", ["fused", "auto"])
@pytest.mark.parametrize("actions", ACTIONS, ids=["Discrete", "Box"])
@pytest.mark.filterwarnings("error:the compiled kernels do not give")
def test_another_default_dtype_changes_nothing(actions: spaces.Space[Any], engine: str) -> None:
    def change(model: CustomPPO) -> None:
        torch.set_default_dtype(torch.float64)
        model.policy.optimizer = torch.optim.Adam(model.policy.parameters(), eps=1e-5)  # another vector of parameters

    assert_as_autograd(engine, actions, change)


@pytest.mark.parametrize("name", ["forward", "evaluate_actions", "predict_values"])
def test_a_patched_class_of_policies_is_called(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    original, calls = getattr(ActorCritic, name), []

    def patched(*args: Any, **kwargs: Any) -> Any:
        calls.append(None)
        return original(*args, **kwargs)

    monkeypatch.setattr(ActorCritic, name, patched)
    trained("auto", ACTIONS[0], lambda model: None)
    by_auto = len(calls)
    trained("autograd", ACTIONS[0], lambda model: None)
    assert by_auto == len(calls) - by_auto > 0
