"""Trained runs of a second each, kept for the session."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from harness.experiment.plan import RunSpec
from harness.experiment.run_records import RunRecord
from harness.training.train import train_and_record
from tests.harness.toy_subjects import tiny_spec

__all__ = ["trained_run"]


@cache
def _trained(key: tuple[Any, ...]) -> tuple[Path, RunRecord]:
    algo, env, seed, hyperparams = key
    root = Path(mkdtemp(prefix="trained-runs-"))
    spec = tiny_spec(algo, env, seed, **dict(hyperparams))
    folder = root / "runs" / spec.run_dir
    return folder, train_and_record(spec, folder, lambda _: None)


def trained_run(
    root: Path, algo: str = "ppo", env: str = "CartPole-v1", seed: int = 0, **hyperparams: Any
) -> tuple[Path, RunRecord, RunSpec]:
    """Return folder, record and spec of a trained run in a copy below `root`, which the test may damage."""
    source, record = _trained((algo, env, seed, tuple(hyperparams.items())))
    folder = root / "runs" / record.spec.run_dir
    shutil.copytree(source, folder)
    assert record.status == "finished", record.error
    return folder, record, record.spec
