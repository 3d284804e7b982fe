"""An engine is kept as long as nothing changed that decides on it, and chosen anew after every such change."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from custom_ppo import CustomPPO, engines
from custom_ppo.engines.fingerprint import Fingerprint
from custom_ppo.networks import set_training_mode


def model(**kwargs: Any) -> CustomPPO:
    arguments: dict[str, Any] = {"n_steps": 16, "batch_size": 8, "n_epochs": 1, **kwargs}
    return CustomPPO("MlpPolicy", "CartPole-v1", seed=0, device="cpu", **arguments).learn(32)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "a hook on a layer": lambda policy: policy.value_net.register_forward_hook(lambda *_: None),
    "a hook before a layer": lambda policy: policy.action_net.register_forward_pre_hook(lambda *_: None),
    "a hook on a gradient": lambda policy: policy.value_net.bias.register_hook(lambda grad: grad),
    "a hook on the optimiser": lambda policy: policy.optimizer.register_step_pre_hook(lambda *_: None),
    "a wrapped layer": lambda policy: setattr(policy.value_net, "forward", policy.value_net.forward),
    "a wrapped policy": lambda policy: setattr(policy, "forward", lambda *_: None),
    "a frozen layer": lambda policy: policy.value_net.requires_grad_(False),
    "another layer": lambda policy: setattr(policy, "action_net", nn.Linear(64, 2)),
    "another activation": lambda policy: policy.mlp_extractor.policy_net.__setitem__(1, nn.ReLU()),
    "another parameter": lambda policy: setattr(policy.value_net, "bias", nn.Parameter(torch.zeros(1))),
    "doubles": lambda policy: policy.double(),
    "another optimiser": lambda policy: setattr(policy, "optimizer", torch.optim.SGD(policy.parameters(), lr=0.1)),
    "another setting": lambda policy: policy.optimizer.param_groups[0].update(weight_decay=0.1),
    "a loaded optimiser": lambda policy: policy.optimizer.load_state_dict(copy.deepcopy(policy.optimizer.state_dict())),
    "images as they are": lambda policy: setattr(policy, "normalize_images", False),
    "another kind of sharing": lambda policy: setattr(policy, "share_features_extractor", False),
    "another group": lambda policy: policy.optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))]}),
}


@pytest.mark.parametrize("what", list(CHANGES))
def test_every_change_is_seen(what: str) -> None:
    policy = model().policy
    fingerprint = Fingerprint(policy, policy.optimizer, "recipe")
    assert fingerprint.unchanged(policy, policy.optimizer, "recipe")
    CHANGES[what](policy)
    assert not fingerprint.unchanged(policy, policy.optimizer, "recipe")


@pytest.mark.parametrize("switch", ["full_std", "use_expln", "squash_output"])
def test_every_changed_switch_of_gsde_is_seen(switch: str) -> None:
    policy: Any = CustomPPO("MlpPolicy", "Pendulum-v1", use_sde=True, device="cpu").policy
    fingerprint = Fingerprint(policy, policy.optimizer, "recipe")
    assert fingerprint.unchanged(policy, policy.optimizer, "recipe")
    setattr(policy.sde, switch, not getattr(policy.sde, switch))
    assert not fingerprint.unchanged(policy, policy.optimizer, "recipe")


def test_a_hook_on_all_modules_is_seen() -> None:
    policy = model().policy
    fingerprint = Fingerprint(policy, policy.optimizer, "recipe")
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert not fingerprint.unchanged(policy, policy.optimizer, "recipe")
    finally:
        handle.remove()
    assert fingerprint.unchanged(policy, policy.optimizer, "recipe")


def test_other_objects_are_seen() -> None:
    policy, other = model().policy, model().policy
    fingerprint = Fingerprint(policy, policy.optimizer, "recipe")
    assert not fingerprint.unchanged(other, policy.optimizer, "recipe")
    assert not fingerprint.unchanged(policy, other.optimizer, "recipe")
    assert not fingerprint.unchanged(policy, policy.optimizer, "another recipe")


def test_a_changed_learning_rate_changes_no_engine() -> None:
    policy = model().policy
    fingerprint = Fingerprint(policy, policy.optimizer, "recipe")
    policy.optimizer.param_groups[0]["lr"] = 0.5
    assert fingerprint.unchanged(policy, policy.optimizer, "recipe")


def test_reasons_are_sought_only_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    trained, calls = model(engine="fused"), []
    reason_against = engines.reason_against

    def counted(*args: Any) -> str | None:
        calls.append(1)
        return reason_against(*args)

    monkeypatch.setattr(engines, "reason_against", counted)
    trained.learn(64, reset_num_timesteps=False)
    assert calls == []
    trained.policy.optimizer.param_groups[0]["weight_decay"] = 0.1
    trained.learn(64, reset_num_timesteps=False)
    assert calls == [1]


@pytest.mark.parametrize("mode", [True, False])
def test_modes_are_those_of_train(mode: bool) -> None:
    class Counting(nn.Dropout):
        modes: list[bool]

        def train(self, mode: bool = True) -> Counting:
            self.modes = [*getattr(self, "modes", []), mode]
            return super().train(mode)

    ours = nn.Sequential(nn.Linear(1, 1), nn.Sequential(Counting(), nn.BatchNorm1d(1)), nn.Tanh())
    theirs = copy.deepcopy(ours)
    set_training_mode(ours, mode)
    theirs.train(mode)
    for our, their in zip(ours.modules(), theirs.modules(), strict=True):
        assert our.training is their.training is mode
    assert ours[1][0].modes == theirs[1][0].modes == [mode]
