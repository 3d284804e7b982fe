"""Shell loop over `python -m rl_zoo3.train`: one process after the other, as a user of rl_zoo3 repeats a training."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from time import perf_counter
from typing import Any

import yaml

from harness.bench.execution.experiments import LOOP_ENV, LOOP_HYPERPARAMS, N_LOOP_EPISODES, N_LOOP_EVALUATIONS
from harness.bench.execution.watching import one_thread
from harness.errors import HarnessError

__all__ = ["different_weights", "seconds_of_zoo_run", "write_zoo_file"]


def write_zoo_file(folder: Path, n_timesteps: int) -> Path:
    """Write the hyperparameter file of the loop; return its path."""
    path = folder / "zoo.yml"
    entry = {**LOOP_HYPERPARAMS, "n_timesteps": n_timesteps}
    path.write_text(yaml.safe_dump({LOOP_ENV: entry}), encoding="utf-8")
    return path


def seconds_of_zoo_run(file: Path, folder: Path, seed: int, n_timesteps: int) -> float:
    """Train one seed with rl_zoo3 into `folder/ppo/ENV_K`, K counting from 1; return the seconds of the process.

    Raises HarnessError if it fails.
    """
    command = [
        *(sys.executable, "-m", "rl_zoo3.train", "--algo", "ppo", "--env", LOOP_ENV, "--conf-file", str(file)),
        *("--seed", str(seed), "--num-threads", "1", "--log-folder", str(folder), "--verbose", "0", "--device", "cpu"),
        *("--eval-freq", str(n_timesteps // N_LOOP_EVALUATIONS), "--eval-episodes", str(N_LOOP_EPISODES)),
        *("--n-eval-envs", str(N_LOOP_EPISODES)),
    ]
    start = perf_counter()
    answer = subprocess.run(command, env=one_thread(), capture_output=True, text=True, check=False)
    seconds = perf_counter() - start
    if answer.returncode != 0:
        reason = answer.stderr.strip().splitlines()[-1:] or [f"exit code {answer.returncode}"]
        raise HarnessError(f"rl_zoo3.train failed: {reason[0]}")
    return seconds


def different_weights(ours: Path, theirs: Path, n_runs: int) -> tuple[str, ...]:
    """Return the names of the runs whose final weights differ in a bit, by their folders below both paths."""
    names = [f"{LOOP_ENV}_{number}" for number in range(1, n_runs + 1)]
    return tuple(name for name in names if not _equal(_weights(ours / name), _weights(theirs / name)))


def _weights(folder: Path) -> dict[str, Any]:
    import torch

    with zipfile.ZipFile(folder / f"{LOOP_ENV}.zip") as file:
        loaded: dict[str, Any] = torch.load(BytesIO(file.read("policy.pth")), weights_only=True)
    return loaded


def _equal(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    import torch

    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
