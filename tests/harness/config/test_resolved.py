from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.config import parse_config, resolved_text
from harness.experiment.plan import plan

ROOT = Path(__file__).parents[3]

TEXT = """
name: trial
algorithms:
  - custom_ppo
  - fast: {class: ppo, hyperparameters_of: ppo, kwargs: {learning_rate: lin_0.01}}
  - my.module:Agent: {hyperparameters_of: ppo}
environments:
  CartPole-v1: {n_timesteps: 1000}
  ALE/Pong-v5: {n_timesteps: 2000, n_envs: 3}
seeds: SEEDS
evaluation: {n_final_episodes: 7}
statistics: {confidence: 0.9, references: {CartPole-v1: {random: 20, best: 500}}}
trusted_packages: [my_wrappers]
logging: [tensorboard]
hyperparameters:
  ppo:
    default: {policy: MlpPolicy, n_steps: 32, policy_kwargs: "dict(net_arch=[8], activation_fn=nn.ReLU)"}
    ALE/Pong-v5: {policy: CnnPolicy, env_wrapper: my_wrappers.Skip, normalize: "{'norm_reward': False}"}
"""


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=5, unique=True))
def test_the_resolved_file_plans_the_same_runs(seeds: list[int]) -> None:
    config = parse_config(TEXT.replace("SEEDS", str(seeds)), Path("a.yml"))

    again = parse_config(resolved_text(config), Path("elsewhere/experiment.yml"))

    assert plan(again) == plan(config)
    assert (again.statistics, again.evaluation, again.name) == (config.statistics, config.evaluation, config.name)
    assert again.trusted_packages == config.trusted_packages
    assert again.logging == config.logging == ("tensorboard",)


def test_resolving_twice_changes_only_the_name_of_the_source_file() -> None:
    once = resolved_text(parse_config(TEXT.replace("SEEDS", "0-2"), Path("a.yml")))
    twice = resolved_text(parse_config(once, Path("experiment.yml")))

    assert once.splitlines()[0] == "# Made from a.yml; every hyperparameter is written out."
    assert twice.splitlines()[0] == "# Made from experiment.yml; every hyperparameter is written out."
    assert once.splitlines()[1:] == twice.splitlines()[1:]


@pytest.mark.parametrize("name", ["ablation.yml", "clip.yml", "compare.yml", "penalty.yml", "smoke.yml", "sweep.yml"])
def test_the_resolved_published_experiments_plan_the_same_runs(name: str) -> None:
    path = ROOT / "configs" / name
    config = parse_config(path.read_text(), path)

    assert plan(parse_config(resolved_text(config), Path("experiment.yml"))) == plan(config)


def test_the_resolved_file_names_no_other_file() -> None:
    path = ROOT / "configs" / "compare.yml"
    sources = yaml.safe_load(resolved_text(parse_config(path.read_text(), path)))["hyperparameters"]

    assert all(isinstance(source, dict) for source in sources.values())
