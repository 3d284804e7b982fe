from __future__ import annotations

import ast
import inspect
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from torch import nn

from harness.crosscheck.environments import make_environment
from tests.planted.subjects import standalone, standalone_bugs
from tests.planted.subjects.standalone import StandalonePPO
from tests.planted.subjects.standalone_bugs import BUGS, compatible
from tests.planted.subjects.training import CASES, preserved_generators, trained, weights
from tests.probe_envs import RandomWorld


@pytest.mark.parametrize("env", CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_it_learns_sb3s_weights_to_the_bit(env: str, seed: int) -> None:
    ours = trained(StandalonePPO, env, n_updates=5, seed=seed)
    theirs = trained(PPO, env, n_updates=5, seed=seed)

    assert weights(ours) == weights(theirs)
    # SB3's weights have changed at all.
    assert weights(theirs) != weights(trained(PPO, env, n_updates=0, seed=seed))


@pytest.mark.parametrize(
    ("env", "n_envs", "settings"),
    [
        ("CartPole-v1", 4, {"n_steps": 64, "ent_coef": 0.01}),
        ("CartPole-v1", 1, {"n_steps": 65, "batch_size": 64, "n_epochs": 2}),  # a minibatch of one transition
        ("Pendulum-v1", 2, {"n_steps": 128, "max_grad_norm": 0.1, "normalize_advantage": False}),
        (
            partial(RandomWorld, spaces.Box(-1, 1, (2, 3)), spaces.MultiBinary(4)),
            2,
            {"n_steps": 40, "target_kl": 0.003},
        ),
    ],
)
def test_it_does_so_with_other_settings(env: Any, n_envs: int, settings: dict[str, Any]) -> None:
    learnt = []
    for algorithm in (StandalonePPO, PPO):
        with preserved_generators():
            model = algorithm("MlpPolicy", make_vec_env(env, n_envs, seed=5), seed=5, device="cpu", **settings)
            model.learn(3 * n_envs * settings["n_steps"])
            model.learn(n_envs * settings["n_steps"], reset_num_timesteps=False)
        learnt.append(weights(model))

    assert learnt[0] == learnt[1]


def test_it_imports_nothing_of_sb3_and_shows_modules_and_optimiser_only() -> None:
    tree = ast.parse(Path(standalone.__file__).read_text(encoding="utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert {module.partition(".")[0] for module in modules}.isdisjoint({"stable_baselines3", "custom_ppo", "harness"})
    assert StandalonePPO.__mro__ == (StandalonePPO, object)
    model = trained(StandalonePPO, "TightBounds", n_updates=1)
    shown = {name for name, value in vars(model).items() if isinstance(value, nn.Module | torch.optim.Optimizer)}
    assert shown == {"actor", "critic", "heads", "optimizer"}
    assert not hasattr(model, "policy")
    assert not hasattr(model, "rollout_buffer")


def test_its_arguments_have_sb3s_names_and_defaults() -> None:
    theirs = inspect.signature(PPO).parameters
    ours = inspect.signature(StandalonePPO).parameters

    assert set(ours) <= set(theirs)
    different = {name for name in ours if ours[name].default != theirs[name].default}
    assert different == {"device"}


@pytest.mark.parametrize("env", CASES)
def test_it_predicts_sb3s_deterministic_action_within_the_bounds(env: str) -> None:
    model = trained(StandalonePPO, env, n_updates=1)
    theirs = trained(PPO, env, n_updates=1)
    made: gym.Env[Any, Any] = make_environment(env)
    one, _ = made.reset(seed=0)

    action, state = model.predict(one, deterministic=True)

    assert state is None
    assert made.action_space.contains(np.asarray(action, dtype=made.action_space.dtype))
    np.testing.assert_array_equal(action, theirs.predict(one, deterministic=True)[0])
    assert model.predict(np.stack([one, one]))[0].shape == (2, *made.action_space.shape)


def test_it_saves_its_weights(tmp_path: Path) -> None:
    model = trained(StandalonePPO, "CartPole15", n_updates=1)
    model.save(tmp_path / "model")

    heads, actor, _ = torch.load(tmp_path / "model")
    assert heads == {}
    assert torch.equal(actor["0.weight"], model.actor[0].weight)


def test_a_callback_of_sb3_is_called_at_every_step_and_may_stop_training() -> None:
    class Stop(BaseCallback):
        def _on_step(self) -> bool:
            return self.num_timesteps < 10

    env = make_vec_env(partial(make_environment, "CartPole15"), 2, seed=0)
    model = StandalonePPO("MlpPolicy", env, n_steps=32, seed=0)
    callback = Stop()
    model.learn(64, callback)

    assert callback.n_calls == 5
    assert callback.locals["value"].shape == (2,)


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_makes_it_learn_other_weights_than_the_correct_file(name: str) -> None:
    env = BUGS[name].env

    assert weights(trained(getattr(standalone_bugs, name), env)) != weights(trained(StandalonePPO, env))


def test_a_replacement_without_effect_changes_no_bit() -> None:
    same = standalone_bugs.rewritten([("import random\n", "import random\n")], name="same", module=__name__)

    assert weights(trained(same, "TightBounds")) == weights(trained(StandalonePPO, "TightBounds"))


def test_bugs_are_imported_by_name_combined_and_pickled() -> None:
    both = getattr(standalone_bugs, "value_loss_halved+entropy_sign")

    assert pickle.loads(pickle.dumps(both)) is both
    assert len(BUGS) >= 25
    assert compatible([BUGS["value_loss_halved"], BUGS["entropy_sign"]])
    assert not compatible([BUGS["entropy_left_out"], BUGS["entropy_sign"]])
