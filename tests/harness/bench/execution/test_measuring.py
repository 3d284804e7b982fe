from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bench.execution import measuring
from harness.bench.execution.experiments import Sizes
from harness.bench.execution.measuring import measured_execution
from harness.bench.execution.results import Growth, Overhead, ShellLoop, Workers
from harness.bench.execution.timeline import Timeline
from harness.bench.execution.watching import timeline_of
from harness.errors import HarnessError
from tests.harness.bench.execution.timelines import timeline

SIZES = Sizes(one_step_runs=3, tiny_runs=5, real_steps=256, pairs=1, loop_runs=2, loop_steps=256)


def steps_of(name: str) -> tuple[list[object], list[str]]:
    """Return the results of a measurement and the reported steps."""
    steps: list[str] = []
    return list(measured_execution(name, SIZES, steps.append)), steps


def test_runs_of_one_step_have_an_overhead() -> None:
    (result,), steps = steps_of("run-overhead")

    assert isinstance(result, Overhead)
    assert steps == ["3 runs of one step"]
    assert len(result.timeline.overheads) == 2
    assert 0.0 < result.inside < result.median
    assert 0.0 < result.timeline.first_start < result.timeline.running + result.timeline.first_start


@pytest.mark.slow
def test_one_worker_and_two_run_the_same_experiment() -> None:
    (result,), steps = steps_of("two-workers")

    assert isinstance(result, Workers)
    assert steps == ["pair 1 of 1: 1 worker", "pair 1 of 1: 2 workers"]
    assert [len(one.runs) for one in (*result.one, *result.two)] == [8, 8]
    assert (result.one[0].n_workers, result.two[0].n_workers) == (1, 2)


@pytest.mark.slow
def test_many_runs_have_times_and_memory_in_every_part() -> None:
    (result,), _ = steps_of("many-runs")

    assert isinstance(result, Growth)
    assert len(result.timeline.runs) == 5
    assert min(result.seconds) > 0.0
    assert min(result.main) > 10 * 2**20
    assert min(result.server) > 10 * 2**20
    assert result.timeline.peak_memory >= max(result.main)


@pytest.mark.slow
def test_the_loop_over_rl_zoo3_ends_with_the_weights_of_the_harness() -> None:
    (result,), steps = steps_of("zoo-loop")

    assert isinstance(result, ShellLoop)
    assert steps == ["rl_zoo3: run 1 of 2", "2 runs of ppo", "2 runs of custom_ppo", "rl_zoo3: run 2 of 2"]
    assert result.unequal == ()
    assert len(result.loop) == len(result.sb3.runs) == len(result.custom.runs) == 2


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the processes that are timed; return the list of their names."""
    names: list[str] = []

    def timeline_of(experiment: str, folder: Path, n_workers: int) -> Timeline:
        names.append(f"{folder.name}, {n_workers}")
        return timeline((2.0, 3.0, 4.0, 5.0, 6.0), n_workers)

    def seconds_of_zoo_run(file: Path, folder: Path, seed: int, n_timesteps: int) -> float:
        names.append(f"seed {seed}")
        return 10.0

    monkeypatch.setattr(measuring, "timeline_of", timeline_of)
    monkeypatch.setattr(measuring, "seconds_of_zoo_run", seconds_of_zoo_run)
    return names


def test_the_order_of_one_worker_and_two_alternates(calls: list[str]) -> None:
    results = list(measured_execution("two-workers", replace(SIZES, pairs=3), lambda _: None))

    assert calls == ["1 0, 1", "2 0, 2", "2 1, 2", "1 1, 1", "1 2, 1", "2 2, 2"]
    assert [len(result.one) for result in results if isinstance(result, Workers)] == [1, 2, 3]


def test_half_of_the_loop_runs_after_the_experiments(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        measuring, "different_weights", lambda ours, *_: ("CartPole-v1_1",) if ours.name == "ppo" else ()
    )

    (result,) = measured_execution("zoo-loop", replace(SIZES, loop_runs=3), lambda _: None)

    assert calls == ["seed 0", "ppo, 2", "custom_ppo, 2", "seed 1", "seed 2"]
    assert isinstance(result, ShellLoop)
    assert result.loop == (10.0, 10.0, 10.0)
    assert result.unequal == ("ppo/CartPole-v1_1",)


def test_the_temporary_folder_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def timeline_of(experiment: str, folder: Path, n_workers: int) -> Timeline:
        folder.mkdir()
        raise HarnessError("no space left")

    monkeypatch.setattr(measuring, "timeline_of", timeline_of)
    with pytest.raises(HarnessError, match="no space left"):
        list(measured_execution("many-runs", SIZES, lambda _: None))

    assert list(tmp_path.iterdir()) == []


def test_an_experiment_that_is_refused_ends_the_measurement(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"the experiment cannot be run: error: .*experiment_file\.yml:1:1: seeds"):
        timeline_of("name: wrong\n", tmp_path / "wrong", 1)
