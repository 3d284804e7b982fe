from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from custom_ppo.sb3 import LeanVecEnv, LeanVecNormalize
from harness.training.envs import SB3_CLASSES, lean_classes, make_training_env, save_normalization
from harness.training.envs.classes import VecEnvClasses
from tests.harness.toy_subjects import tiny_spec


def test_environments_are_made_of_the_classes_that_are_asked_for() -> None:
    usual = make_training_env(tiny_spec(normalize=True), None)
    lean = make_training_env(tiny_spec(normalize=True), None, classes=lean_classes())

    assert (type(usual), type(usual.unwrapped)) == (VecNormalize, DummyVecEnv)
    assert (type(lean), type(lean.unwrapped)) == (LeanVecNormalize, LeanVecEnv)


def walked(classes: VecEnvClasses, **hyperparams: Any) -> VecNormalize:
    """Return a normalising environment after some episodes."""
    env = make_training_env(tiny_spec(**{"normalize": True, **hyperparams}), None, classes=classes)
    env.reset()
    for _ in range(100):
        env.step(np.zeros(2, dtype=int))
    assert isinstance(env, VecNormalize)
    return env


@pytest.mark.parametrize("hyperparams", [{}, {"normalize": "{'norm_reward': False}", "gamma": 0.9}])
def test_statistics_have_the_bytes_that_sb3_writes(hyperparams: dict[str, Any], tmp_path: Path) -> None:
    walked(SB3_CLASSES, **hyperparams).save(str(tmp_path / "sb3.pkl"))

    save_normalization(walked(lean_classes(), **hyperparams), tmp_path / "folder" / "lean.pkl")

    data = (tmp_path / "folder" / "lean.pkl").read_bytes()
    assert data == (tmp_path / "sb3.pkl").read_bytes()
    assert type(pickle.loads(data)) is VecNormalize


def test_saving_statistics_leaves_the_environment_usable(tmp_path: Path) -> None:
    env = walked(lean_classes())

    save_normalization(env, tmp_path / "lean.pkl")

    assert env.step(np.zeros(2, dtype=int))[0].shape == (2, 4)
