from __future__ import annotations

import pytest

from harness.analysis.frames import Results, load_results
from tests.results_factory import write_experiment

ALGOS = ("custom_ppo", "ppo", "a2c")


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Load an experiment of three algorithms, two environments and five seeds, in which one run of a2c failed."""
    root = write_experiment(
        tmp_path_factory.mktemp("results"),
        algos=ALGOS,
        envs=("CartPole-v1", "LunarLander-v3"),
        n_seeds=5,
        n_timesteps=20_000,
        crashed=[("a2c", "LunarLander-v3", 2)],
    )
    return load_results(root, algos=ALGOS)
