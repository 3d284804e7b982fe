from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.experiment.run_records import RunRecord
from harness.training.executors.events import Job
from harness.training.executors.schedule import Schedule
from tests.harness.toy_subjects import tiny_spec
from tests.results_factory import failed, make_record


def job(algo: str, seed: int) -> Job:
    return Job(tiny_spec(algo, seed=seed), Path(algo, str(seed)))


def record(algo: str, seconds: float) -> RunRecord:
    return replace(make_record(tiny_spec(algo)), wall_seconds=seconds)


def order(schedule: Schedule) -> list[tuple[str, int]]:
    jobs = [schedule.next() for _ in range(len(schedule.waiting))]
    return [(job.spec.algo, job.spec.seed) for job in jobs]


PLAN = [(algo, seed) for seed in (0, 1) for algo in ("a2c", "ppo", "custom_ppo")]


def test_runs_of_unknown_duration_start_in_the_order_of_the_plan() -> None:
    assert order(Schedule([job(*run) for run in PLAN])) == PLAN


def test_the_longest_run_of_a_seed_starts_first_and_seeds_stay_in_order() -> None:
    schedule = Schedule([job(*run) for run in PLAN])
    for algo, seconds in (("a2c", 1.0), ("ppo", 3.0), ("custom_ppo", 2.0)):
        schedule.learn(record(algo, seconds))

    assert order(schedule) == [(algo, seed) for seed in (0, 1) for algo in ("ppo", "custom_ppo", "a2c")]


def test_a_failed_run_teaches_no_duration() -> None:
    schedule = Schedule([job(*run) for run in PLAN])
    schedule.learn(failed(record("a2c", 1.0)))

    assert order(schedule) == PLAN


def test_an_empty_schedule_has_no_next_run() -> None:
    with pytest.raises(IndexError):
        Schedule([]).next()
