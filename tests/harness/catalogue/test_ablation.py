"""configs/ablation.yml: the catalogue of deviations through the ordinary comparison."""

from __future__ import annotations

import re
from pathlib import Path

from harness.catalogue import CATALOGUE
from harness.config import load_config
from harness.experiment.plan import plan
from harness.training.models import build_model

CONFIG = Path(__file__).parents[3] / "configs" / "ablation.yml"


def omitted() -> list[str]:
    """Return the ids that the file leaves out, each of which must have its reason in a comment on the same line."""
    lines = CONFIG.read_text(encoding="utf-8").partition("except:")[2].splitlines()[1:]
    found = [re.fullmatch(r" +- (\S+) # \S.*", line) for line in lines]
    assert all(found)
    return [match[1] for match in found if match]


def test_the_ablation_trains_every_deviation_of_ppo_but_those_with_a_reason() -> None:
    labels = [algorithm.label for algorithm in load_config(CONFIG).algorithms]
    ids = [entry.id for entry in CATALOGUE if "ppo" in entry.algorithms]
    assert labels == ["custom_ppo", *(name for name in ids if name not in omitted())]


def test_each_deviation_has_its_own_class_and_otherwise_the_same_hyperparameters() -> None:
    plain, *others = load_config(CONFIG).algorithms
    for algorithm in others:
        assert algorithm.algo_class == "harness.catalogue.deviant:DeviantPPO"
        for env, hyperparams in algorithm.hyperparams.items():
            assert hyperparams == {**plain.hyperparams[env], "deviations": algorithm.label}


def test_a_run_of_the_ablation_builds_a_model_with_its_deviation() -> None:
    from stable_baselines3.common.env_util import make_vec_env

    spec = next(spec for spec in plan(load_config(CONFIG)) if spec.algo == "adam_eps_1e-8")
    model = build_model(spec, make_vec_env(spec.env, n_envs=4))
    assert [entry.id for entry in model.deviations] == ["adam_eps_1e-8"]
    assert model.policy.optimizer.param_groups[0]["eps"] == 1e-8
