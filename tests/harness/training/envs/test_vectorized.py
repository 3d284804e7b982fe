from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.error import DependencyNotInstalled
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecNormalize

from harness.errors import UnknownNameError
from harness.training.envs import check_environment, make_eval_env, make_training_env
from harness.training.envs.vectorized import registered_id
from harness.training.isolation import call_isolated
from harness.training.models import build_model
from tests.harness.toy_subjects import FAULTY_ENV, tiny_spec
from tests.probe_envs import RandomWorld


def message(env_id: str) -> str:
    with pytest.raises(UnknownNameError) as error:
        check_environment(env_id)
    return str(error.value)


def first_states(env: VecEnv) -> np.ndarray[Any, Any]:
    observations = env.reset()
    env.close()
    assert isinstance(observations, np.ndarray)
    return observations


@pytest.mark.parametrize(
    ("env_id", "expected"),
    [
        ("CartPol-v1", "environment 'CartPol-v1' is not registered with gymnasium, did you mean CartPole-v1?"),
        ("CartPole-v9", "environment 'CartPole-v9' is not registered with gymnasium, did you mean CartPole-v1?"),
        ("Nowhere/Zzzzzzzz-v0", "environment 'Nowhere/Zzzzzzzz-v0' is not registered with gymnasium"),
        (
            "no_such_module:CartPole-v1",
            "no_such_module:CartPole-v1: there is no module no_such_module; "
            "run from the folder that contains it, or install it",
        ),
        ("math:Zzzzzzzz-v0", "environment 'math:Zzzzzzzz-v0' is not registered with gymnasium"),
    ],
)
def test_an_environment_that_does_not_exist_is_named(env_id: str, expected: str) -> None:
    assert message(env_id) == expected


@pytest.mark.parametrize(
    ("env_id", "module", "extra"),
    [
        ("ALE/Pong-v5", "ale_py", "atari"),
        ("PongNoFrameskip-v4", "ale_py", "atari"),
        ("MiniGrid-Empty-5x5-v0", "minigrid", "minigrid"),
        ("AntBulletEnv-v0", "pybullet_envs_gymnasium", "pybullet"),
    ],
)
def test_an_environment_of_an_extra_is_found_by_id_or_the_extra_is_named(
    env_id: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec(module)
    if found:
        check_environment(env_id)
        assert env_id in gymnasium.registry
        monkeypatch.delitem(gymnasium.registry, env_id)
    monkeypatch.setattr("harness.training.envs.vectorized.importlib.util.find_spec", lambda name: None)
    assert message(env_id) == (
        f"environment {env_id!r} needs {module}, which is not installed; "
        f"the extra [{extra}] of this project installs it"
    )


def test_environments_of_rl_zoo3_without_velocities_are_found() -> None:
    # In another process, as importing rl_zoo3 changes Gymnasium.
    outcome = call_isolated(lambda: registered_id("PendulumNoVel-v1"), 60.0)

    assert (outcome.result, outcome.trouble) == ("PendulumNoVel-v1", None)


@pytest.mark.parametrize(
    "error", [DependencyNotInstalled("Box2D is not installed\n, pip it"), ModuleNotFoundError("x")]
)
def test_an_environment_without_its_package_is_reported(error: Exception) -> None:
    def construct() -> Any:
        raise error

    gymnasium.register("WithoutPackage-v0", construct)
    try:
        said = " ".join(str(error).split())
        assert message("WithoutPackage-v0") == (
            f"environment 'WithoutPackage-v0' needs a package that is not installed ({said}); "
            "the extras [envs] and [atari] of this project install the usual ones"
        )
    finally:
        del gymnasium.registry["WithoutPackage-v0"]


@pytest.mark.parametrize("env_id", ["CartPole-v1", FAULTY_ENV])
def test_an_environment_that_can_be_made_passes(env_id: str) -> None:
    check_environment(env_id)


def test_an_environment_of_a_module_in_the_working_directory_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "my_worlds.py").write_text(
        "import gymnasium\ngymnasium.register('Mine-v0', lambda: gymnasium.make('CartPole-v1').unwrapped)\n"
    )
    try:
        assert first_states(make_eval_env(tiny_spec(env="my_worlds:Mine-v0"), seed=0, n_episodes=1)).shape == (1, 4)
    finally:
        gymnasium.registry.pop("Mine-v0", None)


def test_training_environments_have_consecutive_seeds_from_the_runs_seed(tmp_path: Path) -> None:
    states = first_states(make_training_env(tiny_spec(seed=7, n_envs=3), tmp_path))

    expected = [gymnasium.make("CartPole-v1").reset(seed=7 + index)[0] for index in range(3)]
    np.testing.assert_array_equal(states, np.array(expected))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{index}.monitor.csv" for index in range(3)]


def test_evaluations_of_a_seed_start_alike_for_all_algorithms() -> None:
    ours, theirs = (make_eval_env(tiny_spec(algo), seed=100, n_episodes=4) for algo in ("custom_ppo", "a2c"))

    assert ours.num_envs == 4
    np.testing.assert_array_equal(first_states(ours), first_states(theirs))


def test_at_most_ten_evaluation_episodes_run_in_parallel() -> None:
    env = make_eval_env(tiny_spec(), seed=0, n_episodes=100)
    env.close()

    assert env.num_envs == 10


def test_wrappers_come_first_then_normalisation_then_the_frame_stack(tmp_path: Path) -> None:
    spec = tiny_spec(
        env_wrapper=[
            {"gymnasium.wrappers.TimeLimit": {"max_episode_steps": 3}},
            "gymnasium.wrappers.FlattenObservation",
        ],
        normalize="{'norm_obs': True, 'norm_reward': True}",
        gamma=0.5,
        frame_stack=2,
    )
    env = make_training_env(spec, tmp_path)

    assert isinstance(env, VecFrameStack)
    assert isinstance(env.venv, VecNormalize)
    assert env.venv.gamma == 0.5
    assert env.observation_space.shape == (8,)
    env.reset()
    ends = [env.step(np.zeros(2, dtype=int))[2].tolist() for _ in range(3)]
    env.close()
    assert ends == [[False, False], [False, False], [True, True]]


def test_an_evaluation_does_not_normalise_rewards_or_update_statistics() -> None:
    env = make_eval_env(tiny_spec(normalize="{'clip_reward': 0.5}"), seed=0, n_episodes=2)
    assert isinstance(env, VecNormalize)
    env.reset()
    rewards = [env.step(np.zeros(2, dtype=int))[1].tolist() for _ in range(5)]
    env.close()

    assert rewards == [[1.0, 1.0]] * 5
    assert env.obs_rms.count == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("space", "shape"),
    [
        (spaces.Box(0, 255, (36, 40, 3), np.uint8), (3, 36, 40)),
        (spaces.Box(0, 255, (3, 36, 40), np.uint8), (3, 36, 40)),
        (spaces.Dict({"image": spaces.Box(0, 255, (36, 40, 3), np.uint8)}), (3, 36, 40)),
    ],
    ids=["channels last", "channels first", "Dict"],
)
def test_evaluations_transpose_images_as_sb3_does_in_training(
    space: spaces.Space[Any], shape: tuple[int, ...], tmp_path: Path
) -> None:
    gymnasium.register("Images-v0", lambda: RandomWorld(space, spaces.Discrete(2)))
    policy = "MultiInputPolicy" if isinstance(space, spaces.Dict) else "CnnPolicy"
    try:
        spec = tiny_spec(env="Images-v0", policy=policy)
        evaluated = make_eval_env(spec, seed=0, n_episodes=2)
        trained = build_model(spec, make_training_env(spec, tmp_path)).get_env()
    finally:
        gymnasium.registry.pop("Images-v0")
    assert type(evaluated) is type(trained)
    shown = evaluated.observation_space
    assert (shown["image"] if isinstance(shown, spaces.Dict) else shown).shape == shape


def test_keyword_arguments_reach_the_environment(tmp_path: Path) -> None:
    env = make_training_env(tiny_spec(env=FAULTY_ENV, env_kwargs="dict(trouble='raise', at=1)"), tmp_path)
    env.reset()

    with pytest.raises(RuntimeError, match="the rotor"):
        env.step(np.zeros(2, dtype=int))
