import inspect
from pathlib import Path

import pytest
import stable_baselines3

from harness.config import ExperimentConfig, parse_config, resolved_text
from harness.config.defaults import sb3_defaults
from harness.experiment.design import designs

BEGINNING = """
name: x
environments: {CartPole-v1: {n_timesteps: 100}}
seeds: 2
hyperparameters: {ppo: {default: {policy: MlpPolicy}}}
"""


def experiment(algorithms: str, statistics: str = "{}") -> ExperimentConfig:
    return parse_config(f"{BEGINNING}statistics: {statistics}\nalgorithms: {algorithms}\n", Path("a.yml"))


SWEEP = "[{sweep: {of: custom_ppo, clip_range: [0.3, 0.1, 0.2], gae_lambda: [0.9, 0.95]}}]"


def test_a_sweep_has_ordered_levels_places_and_sb3s_default() -> None:
    (design,) = designs(experiment(SWEEP))

    assert design.name == "clip_range x gae_lambda"
    assert [factor.texts for factor in design.factors] == [("0.1", "0.2", "0.3"), ("0.9", "0.95")]
    assert design.points["clip_range=0.3,gae_lambda=0.95"] == (2, 1)
    assert design.default == "clip_range=0.2,gae_lambda=0.95"


def test_the_stored_experiment_has_the_same_design() -> None:
    config = experiment(SWEEP)

    stored = parse_config(resolved_text(config), Path("experiment.yml"))

    assert designs(stored) == designs(config)


def test_a_baseline_in_the_sweep_is_its_default() -> None:
    (design,) = designs(experiment(SWEEP, "{baseline: 'clip_range=0.1,gae_lambda=0.9'}"))

    assert design.default == "clip_range=0.1,gae_lambda=0.9"


def test_a_baseline_without_deviations_is_the_level_none() -> None:
    listed = "[custom_ppo, {deviations: {of: custom_ppo, only: [sgd, adamw]}}]"

    (design,) = designs(experiment(listed, "{baseline: custom_ppo}"))

    assert set(design.factors[0].texts) == {"none", "adamw", "sgd"}
    assert design.default == "custom_ppo"


def test_single_algorithms_are_no_design() -> None:
    assert designs(experiment("[ppo, custom_ppo]")) == []


def test_recipes_are_not_numbers() -> None:
    (design,) = designs(experiment("[{sweep: {of: custom_ppo, recipe: [ppo, cleanrl_ppo]}}]"))

    assert not design.factors[0].is_numeric
    assert design.factors[0].default == 0


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_the_defaults_are_those_of_sb3(name: str) -> None:
    theirs = inspect.signature(getattr(stable_baselines3, name.upper())).parameters
    ours = {key: value for key, value in sb3_defaults(name).items() if key not in ("recipe", "deviations")}

    assert ours == {key: theirs[key].default for key in ours}
