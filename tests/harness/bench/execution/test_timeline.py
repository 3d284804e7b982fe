from __future__ import annotations

import json
from typing import Any

import pytest

from harness.bench.execution.timeline import MemorySample, RunEnd, Timeline
from tests.harness.bench.execution.timelines import MIB, timeline

BEGIN = {"event": "begin", "time": 102.0, "runs": 2, "workers": 1}


def started(run: str, time: float) -> dict[str, Any]:
    return {"event": "started", "time": time, "run": run}


def finished(run: str, time: float) -> dict[str, Any]:
    return {"event": "finished", "time": time, "run": run, "train_seconds": 0.25, "wall_seconds": 0.5}


def test_events_become_times_since_the_start_of_the_process() -> None:
    events = [BEGIN, started("a", 103.0), finished("a", 104.0), started("b", 104.0), finished("b", 106.0)]

    found = Timeline.of_events(events, began=100.0, end=109.0)

    assert found == Timeline(1, 3.0, (RunEnd(4.0, 0.25, 0.5), RunEnd(6.0, 0.25, 0.5)), 9.0)
    assert (found.running, found.report) == (3.0, 3.0)


def test_an_overhead_is_the_time_between_two_ends_without_the_training() -> None:
    assert timeline((2.0, 2.75, 4.0)).overheads == (0.25, 0.75)


def test_an_overhead_of_runs_that_overlap_is_not_defined() -> None:
    with pytest.raises(ValueError, match="runs of 2 workers overlap"):
        _ = timeline((2.0, 3.0), n_workers=2).overheads


@pytest.mark.parametrize("kind", ["failed", "retried"])
def test_an_experiment_with_a_failed_run_is_no_measurement(kind: str) -> None:
    events = [BEGIN, started("a", 103.0), {"event": kind, "run": "a", "error": {"message": "no reset"}}]

    with pytest.raises(ValueError, match="a failed: no reset"):
        Timeline.of_events(events, began=100.0, end=109.0)


def test_an_experiment_without_a_finished_run_is_no_measurement() -> None:
    with pytest.raises(ValueError, match="no run has finished"):
        Timeline.of_events([BEGIN], began=100.0, end=109.0)


def test_times_of_parts_begin_at_the_first_start() -> None:
    assert timeline((2.0, 3.0, 5.0, 7.0)).seconds_per_run(2) == (1.0, 2.0)
    with pytest.raises(ValueError, match="4 runs cannot be divided into 5 parts"):
        timeline((2.0, 3.0, 5.0, 7.0)).seconds_per_run(5)


def test_memory_of_a_part_is_the_median_of_its_samples() -> None:
    samples = tuple(MemorySample(number, number * MIB, 0) for number in (1, 2, 3, 5, 6))
    found = Timeline(1, 0.0, tuple(RunEnd(time, 0.0, 0.0) for time in range(1, 10)), 9.0, samples)

    assert found.memory_of_parts("main", 3)[:2] == (2.0 * MIB, 5.5 * MIB)
    assert str(found.memory_of_parts("main", 3)[2]) == "nan"


def test_a_timeline_is_read_from_its_json() -> None:
    found = timeline((2.0, 3.0))

    assert Timeline.from_dict(json.loads(json.dumps(found.as_dict()))) == found
