from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest

from harness.training.envs import lean_classes, make_eval_env, make_training_env
from harness.training.envs.collisions import spare_collisions
from tests.harness.toy_subjects import tiny_spec

CONTACT = int(mujoco.mjtDisableBit.mjDSBL_CONTACT)


def flags(env: Any) -> int:
    return int(env.unwrapped.model.opt.disableflags)


@pytest.mark.parametrize(
    ("env_id", "spared"),
    [
        ("InvertedDoublePendulum-v5", True),
        ("InvertedPendulum-v5", True),
        ("Reacher-v5", True),
        ("HalfCheetah-v5", False),
        ("Hopper-v5", False),
    ],
)
def test_only_models_whose_geoms_cannot_touch_are_not_searched(env_id: str, spared: bool) -> None:
    usual, lean = (gymnasium.make(env_id, disable_env_checker=True) for _ in range(2))
    spare_collisions(lean)
    assert flags(lean) == (flags(usual) | CONTACT if spared else flags(usual))

    for env in (usual, lean):
        env.reset(seed=0)
    usual.action_space.seed(0)
    n_contacts = 0
    for _ in range(1000):
        action = usual.action_space.sample()
        expected, found = usual.step(action), lean.step(action)
        base: Any = usual.unwrapped
        n_contacts += base.data.ncon
        assert found[0].tobytes() == expected[0].tobytes()
        assert found[1:4] == expected[1:4]
        if expected[2] or expected[3]:
            usual.reset()
            lean.reset()
    assert (n_contacts == 0) == spared


@pytest.mark.parametrize(
    ("extra", "may_touch"),
    [
        ("", False),
        ('<geom size="1" contype="2" conaffinity="0"/>', False),
        ('<geom size="1" contype="4" conaffinity="2"/>', True),
    ],
)
def test_bits_of_both_masks_decide(extra: str, may_touch: bool) -> None:
    geoms = '<geom name="a" size="1" contype="0" conaffinity="1"/><geom name="b" size="1" contype="0" conaffinity="4"/>'

    class World(gymnasium.Env[Any, Any]):
        model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{geoms}{extra}</worldbody></mujoco>")

    spare_collisions(World())
    assert (World.model.opt.disableflags == 0) == may_touch


def test_a_listed_pair_is_searched() -> None:
    geoms = '<geom name="a" size="1" contype="0"/><body><freejoint/><geom name="b" size="1" contype="0"/></body>'
    pair = '<contact><pair geom1="a" geom2="b"/></contact>'

    class World(gymnasium.Env[Any, Any]):
        model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{geoms}</worldbody>{pair}</mujoco>")

    spare_collisions(World())
    assert World.model.opt.disableflags == 0


def test_environments_without_a_model_of_mujoco_stay_as_they_are() -> None:
    env = gymnasium.make("CartPole-v1")
    before = dict(vars(env.unwrapped))

    spare_collisions(env)

    assert vars(env.unwrapped) == before


def test_runs_spare_collisions_and_the_classes_of_sb3_do_not() -> None:
    spec = tiny_spec(env="InvertedDoublePendulum-v5")
    for make in (lambda **kw: make_training_env(spec, None, **kw), lambda **kw: make_eval_env(spec, 0, 2, **kw)):
        assert [flags(env) for env in make().envs] == [0, 0]
        assert [flags(env) for env in make(classes=lean_classes()).envs] == [CONTACT, CONTACT]


def test_a_model_is_recognised_by_its_class() -> None:
    class World(gymnasium.Env[Any, Any]):
        model = np.zeros(3)

    spare_collisions(World())
    assert World.model.tolist() == [0, 0, 0]
