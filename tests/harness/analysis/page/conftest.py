from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.analysis.report import report_folders
from harness.config import ReferenceScores, StatisticsConfig
from tests.results_factory import failed, make_record, make_spec, write_experiment, write_run

HOSTILE = "<script>alert(1)</script>"
MESSAGE = '</script><img src=x onerror=alert(2)> & "quotes" {{ 7 * 7 }}'
STATISTICS = StatisticsConfig(n_bootstrap=50, references={"CartPole-v1": ReferenceScores(20.0, 500.0)})


def write_page(results: Path, out: Path) -> Path:
    return report_folders([results], STATISTICS, out, Console(file=io.StringIO()))


@pytest.fixture(scope="session")
def results_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write an experiment with a failed run and, in the names and messages of another algorithm, hostile text."""
    root = write_experiment(
        tmp_path_factory.mktemp("page"),
        envs=("CartPole-v1",),
        n_seeds=5,
        n_timesteps=5_000,
        crashed=[("a2c", "CartPole-v1", 2)],
    )
    for seed in range(60):
        spec = replace(make_spec(f"evil{HOSTILE}", "CartPole-v1", seed), algo_class="ppo")
        record = make_record(spec, [float(seed), 20.0])
        write_run(root, failed(record, MESSAGE) if seed == 0 else record)
    return root


@pytest.fixture(scope="session")
def page(results_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of that experiment."""
    return write_page(results_folder, tmp_path_factory.mktemp("report"))
