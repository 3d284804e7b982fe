"""CustomPPO chooses the engine anew for every update, and no choice changes a bit."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from torch import nn

from custom_ppo import CustomPPO
from custom_ppo.config import InvalidConfigError
from custom_ppo.engines import AutogradEngine, FusedEngine, NativeEngine
from custom_ppo.engines.native.library import reason_against_loading
from custom_ppo.recipe import SB3_A2C, SB3_PPO
from tests.custom_ppo.loops import learned_state
from tests.custom_ppo.sb3.models import assert_same_weights, make_model
from tests.probe_envs import RandomWorld


def model(engine: Any, **kwargs: Any) -> CustomPPO:
    return CustomPPO(
        "MlpPolicy", "CartPole-v1", n_steps=32, batch_size=16, n_epochs=2, seed=0, device="cpu", engine=engine, **kwargs
    )


def assert_same_models(ours: CustomPPO, theirs: CustomPPO) -> None:
    for our, their in zip(learned_state(ours.agent), learned_state(theirs.agent), strict=True):
        assert torch.equal(our, their)


def unscaled(parameters: Any, max_norm: float) -> None:
    """Leave gradients as they are: a part that only autograd's engine calls."""


OWN_PART = SB3_PPO.replace(clip_gradients=unscaled)


def test_auto_is_the_fastest_engine_that_is_possible() -> None:
    fastest = FusedEngine if reason_against_loading() else NativeEngine
    assert type(model("auto").agent.engine) is fastest
    assert type(model("auto", recipe=SB3_A2C).agent.engine) is fastest
    assert type(model("fused").agent.engine) is FusedEngine
    assert type(model("autograd").agent.engine) is AutogradEngine
    assert type(model("auto", recipe=OWN_PART).agent.engine) is AutogradEngine


def test_asking_for_what_is_impossible_says_why() -> None:
    with pytest.raises(InvalidConfigError) as error:
        model("fused", recipe=OWN_PART)
    assert str(error.value) == (
        "engine='fused' is not possible: the recipe has its own clip_gradients; use engine='auto'"
    )


def test_a_typo_in_the_engine_is_refused() -> None:
    with pytest.raises(InvalidConfigError) as error:
        model("fuse")
    assert str(error.value) == "`engine` must be one of auto, autograd, fused, native, got 'fuse'"


def test_a_typo_after_training_is_refused_too() -> None:
    trained: Any = model("auto").learn(32)
    trained.engine = "nativ"
    with pytest.raises(InvalidConfigError, match="got 'nativ'"):
        trained.learn(32)


@pytest.mark.parametrize("second_engine", ["autograd", "fused"])
def test_a_model_saved_by_one_engine_goes_on_with_the_other(tmp_path: Path, second_engine: Any) -> None:
    models = []
    for first_engine in ("fused", "autograd"):
        model(first_engine).learn(64).save(tmp_path / first_engine)
        loaded = CustomPPO.load(tmp_path / first_engine, env=model("auto").get_env(), device="cpu")
        loaded.engine = second_engine
        loaded.set_random_seed(3)
        models.append(loaded.learn(64, reset_num_timesteps=False))
    assert_same_models(*models)


def test_parameters_set_between_two_updates_are_taken_over() -> None:
    source = model("autograd").learn(96)
    models = []
    for engine in ("fused", "autograd"):
        target = model(engine).learn(64)
        # A copy: PyTorch's optimisers keep the very tensors that they load, and would go on to change the source's.
        parameters: Any = copy.deepcopy(source.get_parameters())
        target.set_parameters(parameters, device="cpu")
        target.set_random_seed(1)
        models.append(target.learn(64))
    assert_same_models(*models)


def replace_optimizer(policy: Any) -> None:
    policy.optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3, betas=(0.5, 0.9))


def replace_head(policy: Any) -> None:
    torch.manual_seed(9)
    policy.action_net = nn.Linear(64, 2)
    replace_optimizer(policy)


def replace_head_and_tell_the_optimizer(policy: Any) -> None:
    torch.manual_seed(9)
    policy.action_net = nn.Linear(64, 2)
    policy.optimizer.param_groups[0]["params"][:] = list(policy.parameters())


def replace_head_by_layers(policy: Any) -> None:
    torch.manual_seed(9)
    policy.action_net = nn.Sequential(nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, 2))
    replace_optimizer(policy)


def freeze_the_actor(policy: Any) -> None:
    for parameter in policy.mlp_extractor.policy_net.parameters():
        parameter.requires_grad = False


@pytest.mark.parametrize(
    "change", [replace_optimizer, replace_head, replace_head_and_tell_the_optimizer, replace_head_by_layers]
)
def test_parts_that_are_exchanged_between_updates_are_used(change: Callable[[Any], None]) -> None:
    models = []
    for engine in ("auto", "autograd"):
        trained = model(engine).learn(64)
        change(trained.policy)
        models.append(trained.learn(64, reset_num_timesteps=False))
    assert_same_models(*models)


IMAGES = spaces.Box(0, 255, (4, 3, 3), np.uint8)


@pytest.mark.parametrize("engine", ["auto", "fused", "autograd"])
@pytest.mark.parametrize("first", [True, False])
def test_images_are_normalised_as_the_policy_says_at_the_moment(first: bool, engine: Any) -> None:
    models = []
    for cls in (functools.partial(CustomPPO, engine=engine), PPO):
        world = RandomWorld(IMAGES, spaces.Discrete(2))
        kwargs = {"normalize_images": first}
        trained: Any = make_model(cls, world, policy_kwargs=kwargs).learn(32)  # type: ignore[arg-type]
        trained.policy.normalize_images = not first
        trained.learn(32)
        trained.policy.normalize_images = first
        models.append(trained.learn(32))
    assert_same_weights(*models)


def test_gsde_is_computed_as_its_switch_says_at_the_moment() -> None:
    models = []
    for engine in ("auto", "autograd"):
        trained: Any = make_model(CustomPPO, "Pendulum-v1", use_sde=True, engine=engine).learn(32)
        with torch.no_grad():
            trained.policy.log_std.fill_(0.5)
        trained.policy.sde.use_expln = True
        models.append(trained.learn(32))
    assert_same_models(*models)


def test_a_frozen_layer_stays_as_it_is() -> None:
    trained = model("auto").learn(64)
    freeze_the_actor(trained.policy)
    before = [p.clone() for p in trained.policy.mlp_extractor.policy_net.parameters()]
    trained.learn(64, reset_num_timesteps=False)
    for old, new in zip(before, trained.policy.mlp_extractor.policy_net.parameters(), strict=True):
        assert torch.equal(old, new)


HOOKS: dict[str, Callable[[Any, Callable[..., None]], Any]] = {
    "optimiser": lambda policy, hook: policy.optimizer.register_step_post_hook(hook),
    "layer": lambda policy, hook: policy.value_net.register_forward_hook(hook),
    "backward": lambda policy, hook: policy.value_net.register_full_backward_hook(hook),
    "gradient": lambda policy, hook: policy.value_net.bias.register_hook(hook),
}


@pytest.mark.parametrize("where", list(HOOKS))
def test_a_hook_registered_in_the_middle_is_called_and_changes_no_bit(where: str) -> None:
    calls: list[str] = []
    hooked_model, plain = model("auto").learn(64), model("fused").learn(64)
    engines: list[Any] = []
    handle = HOOKS[where](hooked_model.policy, lambda *_: calls.append(where))
    hooked_model.set_random_seed(0)
    hooked_model.learn(64, reset_num_timesteps=False)
    assert len(calls) >= 2 * 2 * 2, "two updates of two epochs of two minibatches"
    engines.append(type(hooked_model.agent.engine))

    handle.remove()
    hooked_model.learn(64, reset_num_timesteps=False)
    engines.append(type(hooked_model.agent.engine))
    assert engines == [AutogradEngine, type(model("auto").agent.engine)]
    plain.set_random_seed(0)
    plain.learn(128, reset_num_timesteps=False)
    assert_same_models(hooked_model, plain)
