"""Write the experiments of the study of clipping and annealing: a search for hyperparameters, and the comparison.

    python -m tests.studies.clipping_design tuning                     writes configs/clipping/tuning.yml
    harness compare configs/clipping/tuning.yml
    python -m tests.studies.clipping_design chosen results/tuning      writes configs/clipping/{chosen,study}.yml
    harness compare configs/clipping/study.yml

docs/clipping.md has the design: hypotheses, measures and rules were written down before the comparison was run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

FOLDER = Path("configs/clipping")
N_DRAWS = 8
N_TUNING_SEEDS = 2
DRAW_SEED = 20261125

UNCLIPPED = 1.0e9
"""Clip range that no ratio leaves: the objective is then the unclipped surrogate, in a single line of settings."""


@dataclass(frozen=True)
class Task:
    """Environment with its budget, the settings that all algorithms share, and its reference scores."""

    env: str
    n_timesteps: int
    shared: dict[str, Any]
    random: float
    best: float


# random: mean return of 300 episodes with uniformly random actions.  best: the maximum (CartPole, InvertedPendulum),
# Gymnasium's reward threshold (Acrobot, Reacher), the return of a converged agent (Pendulum), and the bonus of all
# 1000 steps minus small costs (InvertedDoublePendulum).
TASKS = (
    Task("CartPole-v1", 50_000, {"gamma": 0.98}, 22, 500),
    Task("Acrobot-v1", 60_000, {"gamma": 0.99}, -498, -100),
    Task("Pendulum-v1", 80_000, {"gamma": 0.9, "normalize": True}, -1240, -150),
    Task("InvertedPendulum-v5", 50_000, {"gamma": 0.99, "normalize": True}, 5, 1000),
    Task("InvertedDoublePendulum-v5", 80_000, {"gamma": 0.99, "normalize": True}, 48, 9350),
    Task("Reacher-v5", 80_000, {"gamma": 0.95, "normalize": True}, -43, -3.75),
)


@dataclass(frozen=True)
class Arm:
    """Algorithm of the design: its label, class, whether the learning rate is annealed to 0, and fixed settings."""

    label: str
    algo_class: str
    annealed: bool
    fixed: dict[str, Any]

    def kwargs(self, draw: dict[str, Any]) -> dict[str, Any]:
        """Return the hyperparameters of a draw in this arm."""
        rate = draw["learning_rate"]
        return {**draw, **self.fixed, "learning_rate": f"lin_{rate}" if self.annealed else rate}


ARMS = (
    Arm("clip_annealed", "custom_ppo", True, {"clip_range": 0.2}),
    Arm("clip_constant", "custom_ppo", False, {"clip_range": 0.2}),
    Arm("no_clip_annealed", "custom_ppo", True, {"clip_range": UNCLIPPED}),
    Arm("no_clip_constant", "custom_ppo", False, {"clip_range": UNCLIPPED}),
    Arm("a2c_annealed", "custom_a2c", True, {}),
    Arm("a2c_constant", "custom_a2c", False, {}),
)

# What differs within each pair is one thing (the clip; annealing), or all that PPO and A2C differ in.
PAIRS = (
    ("clip_annealed", "no_clip_annealed"),
    ("clip_constant", "no_clip_constant"),
    ("clip_annealed", "clip_constant"),
    ("no_clip_annealed", "no_clip_constant"),
    ("a2c_annealed", "a2c_constant"),
    ("clip_annealed", "a2c_annealed"),
    ("clip_constant", "a2c_constant"),
)


def draws(algo_class: str) -> list[dict[str, Any]]:
    """Return the settings that every arm of this class tries: SB3's defaults, and random ones from a fixed seed.

    Learning rates are drawn one from each of equal parts of 1e-4 to 1e-2 on a logarithmic scale, other values about
    equally often.
    """
    rng = np.random.default_rng([DRAW_SEED, algo_class == "custom_a2c"])
    parts = rng.permutation(N_DRAWS - 1)
    rates = 10.0 ** (-4.0 + 2.0 * (parts + rng.random(N_DRAWS - 1)) / (N_DRAWS - 1))
    if algo_class == "custom_ppo":
        # SB3's rollout of 2048 steps, divided among 8 environments.
        found = [{"learning_rate": 3e-4, "n_steps": 256, "batch_size": 64, "n_epochs": 10, "gae_lambda": 0.95}]
        choices: dict[str, list[Any]] = {
            "n_steps": [32, 128, 256],
            "batch_size": [64, 256],
            "n_epochs": [4, 10, 20],
            "gae_lambda": [0.8, 0.9, 0.95, 1.0],
        }
    else:
        found = [{"learning_rate": 7e-4, "n_steps": 5, "gae_lambda": 1.0, "normalize_advantage": False}]
        choices = {
            "n_steps": [5, 8, 16, 32, 64],
            "gae_lambda": [0.8, 0.9, 0.95, 1.0],
            "normalize_advantage": [False, True],
            "use_rms_prop": [False, True],
        }
    # Each value is drawn about equally often: with seven draws, independent choices would leave some out.
    columns = {key: [values[i] for i in rng.permutation(len(rates)) % len(values)] for key, values in choices.items()}
    for number, rate in enumerate(rates):
        chosen = {key: column[number] for key, column in columns.items()}
        found.append({"learning_rate": float(f"{rate:.2g}"), **chosen})
    return found


def tuning() -> dict[str, Any]:
    """Return the experiment that searches: every draw of every arm in every task, on seeds that are not judged."""
    algorithms = [
        {f"{arm.label}-{number}": {"class": arm.algo_class, "hyperparameters_of": "shared", "kwargs": arm.kwargs(draw)}}
        for arm in ARMS
        for number, draw in enumerate(draws(arm.algo_class))
    ]
    return {
        "name": "tuning",
        "algorithms": algorithms,
        "environments": _environments(),
        "seeds": f"1000-{1000 + N_TUNING_SEEDS - 1}",
        "evaluation": {"n_evaluations": 1, "n_eval_episodes": 1, "n_final_episodes": 20},
        "hyperparameters": {"shared": _shared()},
        "statistics": {"baseline": "clip_annealed-0", "references": _references()},
    }


def study() -> dict[str, Any]:
    """Return the comparison: each arm with its chosen hyperparameters, on fresh seeds."""
    return {
        "name": "clipping",
        "algorithms": [{arm.label: {"class": arm.algo_class, "hyperparameters_of": arm.label}} for arm in ARMS],
        "environments": _environments(),
        "seeds": "0-19",
        "evaluation": {"n_evaluations": 10, "n_eval_episodes": 5, "n_final_episodes": 50},
        "hyperparameters": {arm.label: "chosen.yml" for arm in ARMS},
        "statistics": {
            "pairs": [list(pair) for pair in PAIRS],
            "equivalence_margin": 0.1,
            "references": _references(),
        },
    }


def chosen(runs: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """Return for each arm and task the settings whose mean score over the tuning seeds was highest.

    runs: the table of runs of the search. A failed run scores as random actions do, and of equal means the first draw
    counts: SB3's defaults come first.
    """
    return {arm.label: {task.env: _best(arm, task, runs) for task in TASKS} for arm in ARMS}


def _best(arm: Arm, task: Task, runs: pd.DataFrame) -> dict[str, Any]:
    means = []
    for number, _ in enumerate(draws(arm.algo_class)):
        own = runs[(runs["algo"] == f"{arm.label}-{number}") & (runs["env"] == task.env)]
        if len(own) != N_TUNING_SEEDS:
            raise SystemExit(f"{arm.label}-{number} in {task.env}: {len(own)} runs instead of {N_TUNING_SEEDS}")
        means.append(float(own["score"].where(own["status"] == "finished").fillna(task.random).mean()))
    draw = draws(arm.algo_class)[int(np.argmax(means))]
    return {"policy": "MlpPolicy", "n_envs": 8, **task.shared, **arm.kwargs(draw)}


def _environments() -> dict[str, Any]:
    return {task.env: {"n_timesteps": task.n_timesteps} for task in TASKS}


def _shared() -> dict[str, Any]:
    return {task.env: {"policy": "MlpPolicy", "n_envs": 8, **task.shared} for task in TASKS}


def _references() -> dict[str, Any]:
    return {task.env: {"random": task.random, "best": task.best} for task in TASKS}


def _write(path: Path, comment: Iterator[str], content: dict[str, Any]) -> None:
    text = yaml.safe_dump(content, sort_keys=False, width=120, default_flow_style=None)
    path.write_text("".join(f"# {line}\n" for line in comment) + text)
    print(f"wrote {path}")


def main() -> None:
    """Write the experiments that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tuning", "chosen"])
    parser.add_argument("results", nargs="?", type=Path, help="Folder of the finished search, for `chosen`")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    by = "Written by `python -m tests.studies.clipping_design`; docs/clipping.md has the design."
    if arguments.what == "tuning":
        lines = (
            "Search for hyperparameters: as many runs for every arm of the design, on seeds that are not judged.",
            by,
        )
        _write(FOLDER / "tuning.yml", iter(lines), tuning())
        return
    if arguments.results is None:
        parser.error("name the folder of the finished search, such as results/tuning")
    runs = pd.read_csv(arguments.results / "tables" / "runs.csv")
    _write(
        FOLDER / "chosen.yml", iter(("Hyperparameters that did best in the search of tuning.yml.", by)), chosen(runs)
    )
    lines = ("Clipping and annealing, each with and without the other, and A2C. Run it with `make study`.", by)
    _write(FOLDER / "study.yml", iter(lines), study())


if __name__ == "__main__":
    main()
