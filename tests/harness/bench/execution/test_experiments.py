from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.bench.execution import experiments
from harness.bench.execution.experiments import LOOP_ENV, LOOP_HYPERPARAMS, Sizes
from harness.config import load_config
from harness.config.sources import zoo_folder
from harness.experiment.plan import RunSpec, plan


def planned(text: str, folder: Path) -> list[RunSpec]:
    path = folder / "experiment.yml"
    path.write_text(text, encoding="utf-8")
    return plan(load_config(path))


@pytest.mark.parametrize(
    ("text", "n_runs"),
    [
        (experiments.one_step(7), 7),
        (experiments.tiny(9), 9),
        (experiments.real(1_000), 8),
        (experiments.loop("ppo", 5, 512), 5),
        (experiments.loop("custom_ppo", 5, 512), 5),
    ],
)
def test_an_experiment_has_as_many_runs_as_asked_for(text: str, n_runs: int, tmp_path: Path) -> None:
    assert len(planned(text, tmp_path)) == n_runs


def test_a_multiple_changes_runs_and_steps() -> None:
    assert Sizes().scaled(0.5, 7) == Sizes(20, 500, 6_000, 3, 6, 2_560)
    assert Sizes().scaled(2.0, 1) == Sizes(80, 2_000, 24_000, 1, 12, 10_240)
    assert Sizes().scaled(0.0, 2) == Sizes(2, 5, 256, 2, 2, 256)


def test_the_loop_trains_with_the_hyperparameters_of_rl_zoo3() -> None:
    entry = yaml.safe_load((zoo_folder() / "ppo.yml").read_text(encoding="utf-8"))[LOOP_ENV]

    assert {**LOOP_HYPERPARAMS, "n_timesteps": entry["n_timesteps"]} == entry
