"""configs/ablation.yml: the catalogue of deviations through the ordinary comparison."""

from __future__ import annotations

from pathlib import Path

from harness.catalogue import CATALOGUE
from harness.config import load_config
from harness.experiment.plan import plan
from harness.training.models import build_model

CONFIG = Path(__file__).parents[3] / "configs" / "ablation.yml"

CANNOT_SHOW = {
    "images_not_scaled": "no images",
    "collects_in_training_mode": "no dropout",
    "bootstrap_with_raw_observation": "no VecNormalize",
    "sde_noise_drawn_while_learning": "no gSDE",
    "sde_noise_teaches_features": "no gSDE",
    "sde_sample_freq_ignored": "no gSDE",
    "single_advantage_normalised": "no minibatch of one transition",
    "value_clipped_by_clip_range": "clip_range_vf is set",
}


def test_the_ablation_lists_every_deviation_of_ppo_that_can_show_in_it() -> None:
    labels = [algorithm.label for algorithm in load_config(CONFIG).algorithms]
    expected = [entry.id for entry in CATALOGUE if "ppo" in entry.algorithms and entry.id not in CANNOT_SHOW]
    assert labels[0] == "custom_ppo"
    assert sorted(labels[1:]) == sorted(expected)


def test_each_has_the_deviation_that_it_is_called_by_and_otherwise_the_same_hyperparameters() -> None:
    plain, *others = load_config(CONFIG).algorithms
    for algorithm in others:
        assert algorithm.algo_class == "harness.catalogue.deviant:DeviantPPO"
        for env, hyperparams in algorithm.hyperparams.items():
            assert hyperparams == {**plain.hyperparams[env], "deviations": algorithm.label}


def test_what_is_left_out_is_in_the_catalogue() -> None:
    assert set(CANNOT_SHOW) <= {entry.id for entry in CATALOGUE}


def test_a_run_of_it_is_made_with_its_deviation() -> None:
    from stable_baselines3.common.env_util import make_vec_env

    spec = next(spec for spec in plan(load_config(CONFIG)) if spec.algo == "adam_eps_1e-8")
    model = build_model(spec, make_vec_env(spec.env, n_envs=4))
    assert [entry.id for entry in model.deviations] == ["adam_eps_1e-8"]
    assert model.policy.optimizer.param_groups[0]["eps"] == 1e-8
