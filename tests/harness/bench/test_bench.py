from __future__ import annotations

import re
from typing import Any

import pytest
from rich.console import Console

from harness.bench import measure
from harness.bench.speeds import Speed, bench_table
from harness.errors import UnknownNameError


def cells(found: list[Speed]) -> list[str]:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(bench_table(found))
    line = next(line for line in capture.get().splitlines() if line.strip().startswith("CartPole"))
    return re.split(r"\s{2,}", line.strip())


def test_the_table_shows_the_median_of_the_ratios_of_pairs() -> None:
    speed = Speed("CartPole-v1", 8, 64, custom=(300.0, 100.0, 2000.0), sb3=(100.0, 100.0, 1000.0))

    assert speed.ratios == (3.0, 1.0, 2.0)
    # The median of the ratios, not the ratio of the medians (300 / 100): only a pair ran under equal conditions.
    assert [cell.strip() for cell in cells([speed])] == [
        "CartPole-v1",
        "8",
        "64",
        "300",
        "100",
        "2.00",
        "1.00 - 3.00",
    ]


def test_speeds_that_do_not_form_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        _ = Speed("CartPole-v1", 1, 64, custom=(1.0,), sb3=(1.0, 2.0)).ratios


def test_the_order_alternates_and_the_first_pair_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []

    def rate(name: str, env: str, n_envs: int, n_timesteps: int, kwargs: dict[str, int]) -> float:
        calls.append((name, n_timesteps))
        return float(len(calls))

    monkeypatch.setattr(measure, "_steps_per_second", rate)
    monkeypatch.setattr(measure, "SETTINGS", ((8, 64),))

    (speed,) = measure.measure_speeds(["CartPole-v1"], pairs=2, n_timesteps=500)

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
    monkeypatch.setattr(measure, "perf_counter", lambda: next(clock))
    kwargs = {"n_steps": 32, "batch_size": 32}

    assert measure._steps_per_second("custom_ppo", "CartPole-v1", 2, 60, kwargs) == 64 / 0.5


def test_an_unknown_environment_is_reported_before_measuring() -> None:
    with pytest.raises(UnknownNameError, match=r"'CartPol-v1' is not registered with gymnasium, did you mean"):
        measure.measure_speeds(["CartPol-v1"], 1, 1)
