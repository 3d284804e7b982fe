"""Speed of other implementations relative to SB3: SBX (in JAX) and CleanRL's scripts, with the same hyperparameters.

Their bits differ from SB3's, so only their speed is compared. Each needs a virtual environment of its own, as its
packages do not fit those of this project:

    FOLDER/sbx/bin/python        with sbx-rl, which brings SB3
    FOLDER/cleanrl/bin/python    with what CleanRL's scripts import: gymnasium 0.29, torch, tensorboard, tyro
    FOLDER/ppo.py, FOLDER/ppo_continuous_action.py    CleanRL's scripts

SBX alternates with SB3 in one process. A script of CleanRL is a process that reports its own speed, without its start;
it alternates with SB3 here.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from harness.bench import sbx_script
from harness.bench.configurations import Configuration, chosen_configurations, run_spec
from harness.bench.measure import Report, built
from harness.bench.peer_speeds import PeerSpeed
from harness.config.hyperparams import Linear, parse_schedule

__all__ = ["PEER_CONFIGURATIONS", "measure_peers"]

PEER_CONFIGURATIONS = ("cartpole-sb3", "cartpole-zoo", "pendulum-plain")
"""Configurations that all peers can train."""

CLEANRL_SCRIPTS: Mapping[str, str] = {"CartPole-v1": "ppo.py", "Pendulum-v1": "ppo_continuous_action.py"}
CLEANRL_OPTIONS: Mapping[str, str] = {
    "n_envs": "num-envs",
    "n_steps": "num-steps",
    "n_epochs": "update-epochs",
    "learning_rate": "learning-rate",
    "gamma": "gamma",
    "gae_lambda": "gae-lambda",
    "clip_range": "clip-coef",
    "ent_coef": "ent-coef",
}
"""Hyperparameter of SB3 -> option of CleanRL's scripts."""

SB3_DEFAULTS: Mapping[str, Any] = {
    "n_envs": 1,
    "n_steps": 2048,
    "batch_size": 64,
    "n_epochs": 10,
    "learning_rate": 3e-4,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_range": 0.2,
    "ent_coef": 0.0,
}


def measure_peers(folder: Path, pairs: int, report: Report) -> Iterator[PeerSpeed]:
    """Yield the speed of every peer in every configuration of PEER_CONFIGURATIONS."""
    for configuration in chosen_configurations(PEER_CONFIGURATIONS):
        report(f"{configuration.name}: SBX")
        yield _sbx(configuration, folder, pairs)
        report(f"{configuration.name}: CleanRL")
        yield _cleanrl(configuration, folder, pairs)


def _plain_hyperparams(configuration: Configuration) -> dict[str, Any]:
    """Return the hyperparameters as numbers: of a schedule the first value, as it takes no time."""
    found = {**SB3_DEFAULTS, **run_spec(configuration, "ppo").hyperparams}
    for key in ("learning_rate", "clip_range"):
        schedule = parse_schedule(found[key])
        found[key] = schedule.initial if isinstance(schedule, Linear) else schedule
    return found


def _sbx(configuration: Configuration, folder: Path, pairs: int) -> PeerSpeed:
    python = folder / "sbx" / "bin" / "python"
    if not python.exists():
        return PeerSpeed(configuration.name, "SBX", problem="not installed")
    hyperparams = {key: value for key, value in _plain_hyperparams(configuration).items() if key in SB3_DEFAULTS}
    asked = {
        "env": configuration.env,
        "n_timesteps": configuration.n_timesteps,
        "pairs": pairs,
        "n_envs": hyperparams.pop("n_envs"),
        "hyperparams": hyperparams,
    }
    try:
        answer = _output([str(python), sbx_script.__file__, json.dumps(asked)], Path.cwd())
        found = json.loads(answer.splitlines()[-1])
    except (subprocess.SubprocessError, OSError, ValueError, IndexError) as error:
        return PeerSpeed(configuration.name, "SBX", problem=_reason(error))
    ratios = tuple(theirs / peer for theirs, peer in zip(found["sb3"], found["sbx"], strict=True))
    return PeerSpeed(configuration.name, "SBX", f"{found['version']}, JAX {found['jax']}", ratios)


def _cleanrl(configuration: Configuration, folder: Path, pairs: int) -> PeerSpeed:
    python, script = folder / "cleanrl" / "bin" / "python", folder / CLEANRL_SCRIPTS[configuration.env]
    if not python.exists() or not script.exists():
        return PeerSpeed(configuration.name, "CleanRL", problem="not installed")
    hyperparams = _plain_hyperparams(configuration)
    rollout = hyperparams["n_envs"] * hyperparams["n_steps"]
    options = [f"--{option}={hyperparams[key]}" for key, option in CLEANRL_OPTIONS.items()]
    options += [f"--num-minibatches={rollout // hyperparams['batch_size']}", f"--env-id={configuration.env}"]
    options += ["--no-cuda", "--no-anneal-lr", "--no-clip-vloss", f"--total-timesteps={configuration.n_timesteps}"]
    ratios = []
    for pair in range(pairs + 1):
        with TemporaryDirectory() as runs:
            try:
                lines = _output([str(python), str(script.resolve()), *options], Path(runs)).splitlines()
                rate = float(next(line for line in reversed(lines) if line.startswith("SPS:")).removeprefix("SPS:"))
            except (subprocess.SubprocessError, OSError, ValueError, StopIteration) as error:
                return PeerSpeed(configuration.name, "CleanRL", problem=_reason(error))
        with built(run_spec(configuration, "ppo")) as model:
            start = perf_counter()
            model.learn(configuration.n_timesteps)
            seconds = perf_counter() - start
        if pair:  # the first warms up
            ratios.append(rate * seconds / configuration.n_timesteps)
    return PeerSpeed(configuration.name, "CleanRL", script.name, tuple(ratios))


def _output(command: list[str], folder: Path) -> str:
    """Return what a command prints, run in this folder with one thread, and without this project's packages."""
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return answer.stdout


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = error.stderr.strip().splitlines()
        return lines[-1] if lines else f"exit code {error.returncode}"
    return f"{type(error).__name__}: {error}"
