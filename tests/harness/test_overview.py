from __future__ import annotations

from pathlib import Path

from harness.config import parse_config
from harness.overview import overview
from harness.training.findings import Speed

TEXT = """
name: trial
algorithms:
  - custom_ppo
  - slow: {class: ppo, kwargs: {learning_rate: 0.001}}
  - sweep: {of: custom_ppo, clip_range: [0.1, 0.2], gamma: [0.5, 0.9]}
environments: {CartPole-v1: {n_timesteps: 36_000}}
seeds: [0, 3, 1]
evaluation: {n_evaluations: 9, n_eval_episodes: 10, n_final_episodes: 10}
"""


def lines(speeds: dict[tuple[str, str], Speed], n_workers: int = 2) -> list[str]:
    return overview(parse_config(TEXT, Path("a.yml")), speeds, n_workers).splitlines()


def test_an_experiment_is_described_in_six_lines() -> None:
    assert lines({}) == [
        "a.yml: OK (18 runs)",
        "  algorithms    custom_ppo, slow (ppo); 4 with clip_range (0.1, 0.2) x gamma (0.5, 0.9)",
        "  environments  CartPole-v1 (36,000 steps)",
        "  seeds         0, 3, 1 (3)",
        "  evaluation    9 times 10 episodes during training, 10 at its end",
        "  cost          18 runs, 648,000 steps",
    ]


def test_the_time_is_that_of_training_and_of_evaluations_shared_by_the_workers() -> None:
    # A run trains for 36,000 / 360 = 100 s and evaluates 100 episodes of 500 steps in 50,000 / 2,500 = 20 s.
    speed = Speed(training=360.0, evaluation=2_500.0, episode_length=500)
    speeds = {(algo, "CartPole-v1"): speed for algo in ("custom_ppo", "ppo")}

    assert lines(speeds)[-1].endswith("about 18 minutes on 2 workers (training was measured at 360 steps per second)")
    assert "about 36 minutes on 1 worker (" in lines(speeds, 1)[-1]
    assert "about 2 minutes on 99 workers" in lines(speeds, 99)[-1]


def test_without_the_speed_of_every_algorithm_no_time_is_given() -> None:
    assert lines({("ppo", "CartPole-v1"): Speed(1.0, 1.0, 1)}) == lines({})
