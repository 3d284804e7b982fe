from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from custom_ppo.engines import AutogradEngine
from harness.catalogue import Deviation, deviation
from harness.catalogue.deviant import DeviantA2C, DeviantPPO
from harness.crosscheck.environments import make_environment
from harness.crosscheck.tracing.construction import accepted_settings
from harness.errors import UnknownNameError
from tests.planted.subjects.training import CASES, trained, weights


def model(deviations: Any = (), **settings: Any) -> DeviantPPO:
    env = make_vec_env(lambda: make_environment("TightBounds"), n_envs=2)
    return DeviantPPO(
        "MlpPolicy", env, deviations=deviations, n_steps=8, batch_size=4, device="cpu", seed=0, **settings
    )


def test_without_deviations_it_is_sb3s_ppo() -> None:
    assert weights(trained(DeviantPPO, "TightBounds", **CASES["TightBounds"].settings)) == weights(
        trained(PPO, "TightBounds")
    )


def test_without_deviations_it_is_sb3s_a2c() -> None:
    settings = accepted_settings(A2C, CASES["TightBounds"].settings)
    assert weights(trained(DeviantA2C, "TightBounds", **settings)) == weights(trained(A2C, "TightBounds"))


@pytest.mark.parametrize(
    "given",
    [
        "value_loss_halved",
        deviation("value_loss_halved"),
        ["value_loss_halved", "adam_eps_1e-8"],
        (deviation("value_loss_halved"), "adam_eps_1e-8"),
    ],
)
def test_deviations_are_given_by_id_or_as_they_are_one_or_several(given: Any) -> None:
    made = model(given)
    assert made.deviations[0] is deviation("value_loss_halved")
    assert made.recipe.value_loss(torch.zeros(1), torch.ones(1)).item() == 0.5


def test_an_unknown_id_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean value_loss_halved"):
        model("value_loss_halve")


def test_all_settings_come_before_all_recipes_and_these_before_all_surgery() -> None:
    seen: list[str] = []

    def entry(name: str) -> Deviation:
        def settings(given: dict[str, Any]) -> dict[str, Any]:
            seen.append(f"settings {name} {given['n_epochs']}")
            return {"n_epochs": given["n_epochs"] + 1}

        def recipe(found: Any) -> Any:
            seen.append(f"recipe {name}")
            return found

        def patch(made: Any) -> None:
            seen.append(f"patch {name} {made.n_epochs}")

        return Deviation(name, "", "loss", "", "", settings=settings, recipe=recipe, patch=patch)

    model([entry("a"), entry("b")])
    assert seen == ["settings a 10", "settings b 11", "recipe a", "recipe b", "patch a 12", "patch b 12"]


def test_the_update_is_always_autograds() -> None:
    made = model(engine="fused")
    assert type(made.choose_engine()) is AutogradEngine


def test_two_models_with_one_deviation_do_not_share_its_state() -> None:
    settings = CASES["TightBounds"].settings
    first, second = (
        trained(DeviantPPO, "TightBounds", deviations="shuffled_in_place_for_ever", **settings) for _ in range(2)
    )
    assert weights(first) == weights(second)


@pytest.mark.parametrize(
    "name", ["gradients_accumulate", "shared_hidden_layers", "kl_stop_after_step", "greedy_actions"]
)
def test_a_saved_model_predicts_as_before(name: str, tmp_path: Path) -> None:
    made = model(name).learn(32)
    made.save(tmp_path / "model.zip")
    loaded = DeviantPPO.load(tmp_path / "model.zip")
    observations = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_array_equal(
        loaded.predict(observations, deterministic=True)[0], made.predict(observations, deterministic=True)[0]
    )
    assert loaded.deviations == ()


def test_the_raw_terminal_observation_is_judged_under_vec_normalize() -> None:
    def stored_rewards(deviations: Any) -> Any:
        env = VecNormalize(make_vec_env(lambda: make_environment("TightBounds"), n_envs=2, seed=0))
        made = DeviantPPO("MlpPolicy", env, deviations=deviations, n_steps=16, batch_size=8, device="cpu", seed=0)
        made.learn(32)
        return made.rollout_buffer.rewards

    plain, raw, reset = (
        stored_rewards(given) for given in ((), "bootstrap_with_raw_observation", "bootstrap_with_reset_observation")
    )
    ends = np.argwhere(plain != reset)
    assert len(ends)
    np.testing.assert_array_equal(np.argwhere(plain != raw), ends)
