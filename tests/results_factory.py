"""Synthetic results on disk, byte for byte in the formats of SB3 and of the harness's run records."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.experiment.plan import RunSpec
from harness.experiment.run_records import RunRecord, write_record

Episodes = Sequence[tuple[float, int]]  # return and length, in the order of one sub-environment

RATIO_QUANTILES = {"q01": -2.33, "q25": -0.67, "q50": 0.0, "q75": 0.67, "q99": 2.33}


def make_spec(algo: str = "ppo", env: str = "CartPole-v1", seed: int = 0, n_timesteps: int = 1000) -> RunSpec:
    return RunSpec(algo, algo, env, seed, n_timesteps, eval_freq=500, n_eval_episodes=5, n_final_episodes=10)


def make_record(spec: RunSpec, final_rewards: Sequence[float] = (1.0, 3.0)) -> RunRecord:
    return RunRecord(
        spec=spec,
        status="finished",
        started="2025-01-01T00:00:00+00:00",
        wall_seconds=12.0,
        train_seconds=10.0,
        steps=spec.n_timesteps,
        final_rewards=tuple(final_rewards),
        final_lengths=(1,) * len(final_rewards),
        parameters_digest=f"{spec.digest}{spec.seed}",
    )


def failed(record: RunRecord, message: str = "NaN in the policy") -> RunRecord:
    error = {"type": "ValueError", "message": message, "traceback": "..."}
    return replace(record, status="failed", final_rewards=(), final_lengths=(), parameters_digest="", error=error)


def write_monitor(path: Path, episodes: Episodes, *, env_id: str = "CartPole-v1", t_start: float = 1e9) -> None:
    """Write a file as stable_baselines3.common.monitor.ResultsWriter does; a step takes a millisecond."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seconds = np.cumsum([length for _, length in episodes]) / 1000
    with path.open("w", newline="\n") as file:
        file.write(f"#{json.dumps({'t_start': t_start, 'env_id': env_id})}\n")
        writer = csv.writer(file)
        writer.writerow(("r", "l", "t"))
        rows = [(round(r, 6), n, round(t, 6)) for (r, n), t in zip(episodes, seconds, strict=True)]
        writer.writerows(rows)


def write_evaluations(folder: Path, evaluations: Mapping[int, Sequence[float]]) -> None:
    """Write a file as EvalCallback does, from timestep -> return of each episode, which is also its length."""
    folder.mkdir(parents=True, exist_ok=True)
    results = list(evaluations.values())
    lengths = [[max(1, abs(round(reward))) for reward in rewards] for rewards in results]
    np.savez(folder / "evaluations.npz", timesteps=list(evaluations), results=results, ep_lengths=lengths)


def write_progress(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write a file as stable_baselines3.common.logger.CSVOutputFormat does; a key that a row lacks is a blank cell."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = list(dict.fromkeys(key for row in rows for key in row))
    lines = [",".join(str(row[key]) if key in row else "" for key in keys) for row in rows]
    (folder / "progress.csv").write_text("\n".join([",".join(keys), *lines]) + "\n")


def write_run(
    root: Path,
    record: RunRecord,
    *,
    episodes: Sequence[Episodes] = (),
    evaluations: Mapping[int, Sequence[float]] | None = None,
    progress: Sequence[Mapping[str, float]] = (),
) -> Path:
    """Write a run of the harness below `root`, with a Monitor file for each entry of `episodes`; return its folder."""
    folder = root / "runs" / record.spec.run_dir
    for index, of_one_env in enumerate(episodes):
        write_monitor(folder / f"{index}.monitor.csv", of_one_env, env_id=record.spec.env, t_start=1e9 + index)
    if evaluations is not None:
        write_evaluations(folder, evaluations)
    if progress:
        write_progress(folder, progress)
    write_record(folder, record)
    return folder


def write_experiment(
    root: Path,
    *,
    algos: Sequence[str] = ("custom_ppo", "ppo", "a2c"),
    envs: Sequence[str] = ("CartPole-v1", "LunarLander-v3", "Acrobot-v1"),
    n_seeds: int = 10,
    n_timesteps: int = 50_000,
    crashed: Sequence[tuple[str, str, int]] = (),
) -> Path:
    """Write runs with noise, plateaus and late collapses, those of custom_ppo and ppo bit-equal; return `root`."""
    for env in envs:
        for algo in algos:
            for seed in range(n_seeds):
                spec = replace(make_spec(algo, env, seed, n_timesteps), eval_freq=n_timesteps // 20)
                _write_learning_run(root, spec, crashes=(algo, env, seed) in crashed)
    (root / "experiment.yml").write_text("# synthetic\n")
    return root


# Return before learning and after it, and episode length for that return.
_ENVIRONMENTS = {
    "CartPole-v1": (20.0, 500.0, lambda reward: reward),
    "LunarLander-v3": (-350.0, 250.0, lambda reward: 250 + abs(reward)),
    "Acrobot-v1": (-500.0, -85.0, lambda reward: -reward),
    "Constant-v0": (7.0, 7.0, lambda reward: 100),
}


def _write_learning_run(root: Path, spec: RunSpec, *, crashes: bool) -> None:
    is_ppo = "ppo" in spec.algo.lower()
    key = [spec.seed, len(spec.env), 0 if is_ppo else len(spec.algo)]
    low, high, length_of = _ENVIRONMENTS[spec.env]
    speed = (0.25 if is_ppo else 0.45) * np.random.default_rng(key).uniform(0.7, 1.4)
    collapse = np.random.default_rng([*key, 1]).uniform() < (0.1 if is_ppo else 0.35)
    end = spec.n_timesteps * (0.4 if crashes else 1.0)

    def skill(step: float) -> float:
        x = step / spec.n_timesteps
        learned = 1 / (1 + math.exp(-9 * (x - speed) / speed))
        return learned * (0.45 if collapse and 0.6 < x < 0.85 else 1.0)

    def play(step: float, rng: np.random.Generator, noise: float) -> float:
        if low == high:
            return low
        q = skill(step)
        reward = low + (high - low) * np.clip(q + noise * rng.normal() * (0.2 + 2 * q * (1 - q)), -0.1, 1.05)
        return float(np.clip(reward, min(low, 9), 500.0) if spec.env == "CartPole-v1" else reward)

    rng = np.random.default_rng([*key, 2])
    n_envs, episodes_by_env = 2, []
    for _ in range(n_envs):
        step, episodes = 0, []
        while n_envs * step < end:
            reward = play(n_envs * step, rng, 0.45 if is_ppo else 0.7)
            reward = round(reward) if spec.env in ("CartPole-v1", "Acrobot-v1") else reward
            length = max(8, min(1000, round(length_of(reward))))
            step += length
            episodes.append((reward, length))
        episodes_by_env.append(episodes[:-1])
    grid = [spec.eval_freq * i for i in range(1, 21) if spec.eval_freq * i <= end]
    evaluations = {
        step: [play(step, rng, 0.12 if is_ppo else 0.3) for _ in range(spec.n_eval_episodes)] for step in grid
    }
    final = [play(spec.n_timesteps, rng, 0.1 if is_ppo else 0.25) for _ in range(20)]
    record = replace(make_record(spec, final), parameters_digest=f"{key}", steps=int(end))
    steps = np.linspace(0, end, 26)[1:].astype(int).tolist()
    write_run(
        root,
        failed(record) if crashes else record,
        episodes=episodes_by_env,
        evaluations=evaluations,
        progress=[_log_row(step, step / spec.n_timesteps, is_ppo, rng) for step in steps],
    )


def _log_row(step: int, x: float, is_ppo: bool, rng: np.random.Generator) -> dict[str, float]:
    width = (0.035 if is_ppo else 0.12) * math.exp(0.2 * rng.normal())
    row = {
        "time/total_timesteps": step,
        "train/entropy_loss": -0.69 + 0.5 * x + 0.02 * rng.normal(),
        "train/explained_variance": math.tanh(4 * x) - 0.3 * abs(rng.normal()),
        **{f"update/ratio_{name}": math.exp(width * z) for name, z in RATIO_QUANTILES.items()},
    }
    if is_ppo:
        row |= {
            "train/clip_fraction": 0.12 * math.exp(-2 * x) * math.exp(0.3 * rng.normal()),
            "train/approx_kl": 0.009 * math.exp(-x) * math.exp(0.4 * rng.normal()),
        }
    return row
