from __future__ import annotations

from pathlib import Path

import pytest

from harness.bench.execution.experiments import Sizes
from harness.bench.execution.measuring import measured_execution
from harness.bench.execution.results import Growth, Overhead, ShellLoop, Workers
from harness.bench.execution.watching import timeline_of
from harness.errors import HarnessError

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


def test_one_worker_and_two_run_the_same_experiment() -> None:
    (result,), steps = steps_of("two-workers")

    assert isinstance(result, Workers)
    assert steps == ["pair 1 of 1: 1 worker", "pair 1 of 1: 2 workers"]
    assert [len(one.runs) for one in (*result.one, *result.two)] == [8, 8]
    assert (result.one[0].n_workers, result.two[0].n_workers) == (1, 2)


def test_many_runs_have_times_and_memory_in_every_part() -> None:
    (result,), _ = steps_of("many-runs")

    assert isinstance(result, Growth)
    assert len(result.timeline.runs) == 5
    assert min(result.seconds) > 0.0
    assert min(result.main) > 10 * 2**20
    assert min(result.server) > 10 * 2**20
    assert result.timeline.peak_memory >= max(result.main)


def test_the_loop_over_rl_zoo3_ends_with_the_weights_of_the_harness() -> None:
    (result,), steps = steps_of("zoo-loop")

    assert isinstance(result, ShellLoop)
    assert steps == ["rl_zoo3: run 1 of 2", "2 runs of ppo", "2 runs of custom_ppo", "rl_zoo3: run 2 of 2"]
    assert result.unequal == ()
    assert len(result.loop) == len(result.sb3.runs) == len(result.custom.runs) == 2


def test_an_experiment_that_is_refused_ends_the_measurement(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"the experiment ended with exit code 1: .*algorithms"):
        timeline_of("name: wrong\n", tmp_path / "wrong", 1)
