from __future__ import annotations

import re
from typing import Any

import pytest
from rich.console import Console

from harness.errors import UnknownNameError
from harness.training import bench_worker
from harness.training.bench import Speed, bench_table


def cells(found: list[Speed]) -> list[str]:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(bench_table(found))
    line = next(line for line in capture.get().splitlines() if line.strip().startswith("CartPole"))
    return re.split(r"\s{2,}", line.strip())


def test_the_ratio_is_that_of_each_pair_and_its_median_is_shown() -> None:
    speed = Speed("CartPole-v1", 8, 64, custom=(300.0, 100.0, 2000.0), sb3=(100.0, 100.0, 1000.0))

    assert speed.ratios == (3.0, 1.0, 2.0)
    # Not 300 / 100, the ratio of the medians: a pair met the same machine.
    assert [cell.strip() for cell in cells([speed])] == [
        "CartPole-v1",
        "8",
        "64",
        "300",
        "100",
        "2.00",
        "1.00 - 3.00",
    ]


def test_pairs_of_different_length_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="zip"):
        _ = Speed("CartPole-v1", 1, 64, custom=(1.0,), sb3=(1.0, 2.0)).ratios


def test_both_take_turns_at_going_first_and_the_first_pair_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []

    def rate(name: str, env: str, n_envs: int, n_timesteps: int, kwargs: dict[str, int]) -> float:
        calls.append((name, n_timesteps))
        return float(len(calls))

    monkeypatch.setattr(bench_worker, "_steps_per_second", rate)
    monkeypatch.setattr(bench_worker, "SETTINGS", ((8, 64),))

    (speed,) = bench_worker.measure(["CartPole-v1"], pairs=2, n_timesteps=500)

    assert calls == [
        ("ppo", 2048),
        ("custom_ppo", 2048),
        ("custom_ppo", 500),
        ("ppo", 500),
        ("ppo", 500),
        ("custom_ppo", 500),
    ]
    assert speed == Speed("CartPole-v1", 8, 64, custom=(3.0, 6.0), sb3=(4.0, 5.0))


def test_a_measurement_is_steps_over_seconds_of_a_real_training(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.5])
    monkeypatch.setattr(bench_worker, "perf_counter", lambda: next(clock))
    kwargs = {"n_steps": 32, "batch_size": 32}

    assert bench_worker._steps_per_second("custom_ppo", "CartPole-v1", 2, 60, kwargs) == 64 / 0.5


def test_an_environment_that_does_not_exist_is_named_before_anything_is_measured() -> None:
    with pytest.raises(UnknownNameError, match=r"'CartPol-v1' is not registered with gymnasium, did you mean"):
        bench_worker.measure(["CartPol-v1"], 1, 1)
