from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.training.envs import make_training_env
from harness.training.evaluation.actors import make_actor
from harness.training.models import build_model
from tests.harness.toy_subjects import tiny_spec


def model_of(folder: Path, algo: str = "ppo", env: str = "CartPole-v1", **hyperparams: Any) -> Any:
    spec = tiny_spec(algo, env, **hyperparams)
    return build_model(spec, make_training_env(spec, folder))


@pytest.mark.parametrize("algo", ["ppo", "custom_ppo"])
@pytest.mark.parametrize(
    ("env", "hyperparams"), [("CartPole-v1", {}), ("Pendulum-v1", {}), ("Pendulum-v1", {"use_sde": True})]
)
@pytest.mark.parametrize("scale", [0.0, 0.1, 30.0], ids=["ties", "usual", "saturated"])
def test_actions_are_those_of_predict(
    algo: str, env: str, hyperparams: dict[str, Any], scale: float, tmp_path: Path
) -> None:
    model = model_of(tmp_path, algo, env, **hyperparams)
    generator = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in model.policy.action_net.parameters():
            parameter.copy_(torch.as_tensor(scale * generator.normal(size=parameter.shape)))

    actor = make_actor(model, 10)

    assert actor is not None
    for _ in range(200):
        actor.inputs[:] = generator.normal(size=actor.inputs.shape) * 10 ** generator.uniform(-3, 3)
        expected = model.predict(actor.inputs, deterministic=True)[0]
        found = actor.actions()
        assert (found.dtype, found.shape, found.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


def test_two_probabilities_that_rounding_makes_equal_give_the_first_action(tmp_path: Path) -> None:
    model = model_of(tmp_path)
    with torch.no_grad():
        model.policy.action_net.weight.zero_()
        model.policy.action_net.bias.copy_(torch.tensor([1.0, np.nextafter(np.float32(1), np.float32(2))]))

    actor = make_actor(model, 3)

    assert actor is not None
    assert actor.actions().tolist() == model.predict(actor.inputs, deterministic=True)[0].tolist()


def test_observations_that_are_nan_raise_what_sb3_raises(tmp_path: Path) -> None:
    actor = make_actor(model_of(tmp_path), 3)
    assert actor is not None
    actor.inputs[1] = np.nan

    with pytest.raises(ValueError, match="to satisfy the constraint"):
        actor.actions()


def _hook(model: Any) -> None:
    model.policy.action_net.register_forward_hook(lambda *_: None)


@pytest.mark.parametrize(
    "change",
    [
        _hook,
        lambda model: setattr(model, "predict", model.predict),
        lambda model: setattr(model.policy, "_predict", model.policy._predict),
        lambda model: setattr(model.policy, "__class__", type("Other", (type(model.policy),), {})),
        lambda model: setattr(model.policy, "action_net", torch.nn.Sequential(model.policy.action_net)),
        lambda model: model.policy.mlp_extractor.policy_net.append(torch.nn.Dropout()),
        lambda model: model.policy.double(),
        lambda model: model.policy.log_std.data.fill_(-200),
        lambda model: model.policy.value_net.bias.data.fill_(torch.inf),
    ],
    ids=["hook", "predict", "_predict", "class", "layer", "dropout", "double", "no noise", "infinity"],
)
def test_a_policy_that_is_not_the_usual_one_has_no_actor(change: Callable[[Any], Any], tmp_path: Path) -> None:
    model = model_of(tmp_path, env="Pendulum-v1")
    assert make_actor(model, 3) is not None

    change(model)

    assert make_actor(model, 3) is None
