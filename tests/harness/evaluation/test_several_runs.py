from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import pytest

from harness.config import parse_config
from harness.errors import HarnessError
from harness.evaluation.settings import EvaluationSettings, RunEvaluation
from harness.evaluation.several_runs import evaluate_runs, map_in_workers, scores, spread
from harness.experiment.inventory import runs_at
from harness.experiment.plan import plan
from harness.training.algorithms import import_target
from tests.harness.evaluation.stored import trained_run
from tests.harness.experiment.test_inventory import EXPERIMENT
from tests.harness.toy_subjects import MODULE
from tests.results_factory import failed, make_record, make_spec, write_run


def test_runs_without_an_agent_are_named_and_the_others_are_evaluated(tmp_path: Path) -> None:
    _, first, _ = trained_run(tmp_path, seed=0)
    folder, _, spec = trained_run(tmp_path, seed=1)
    (folder / f"{spec.env}.zip").unlink()
    write_run(tmp_path, failed(make_record(make_spec(seed=2))))
    said: list[RunEvaluation] = []

    evaluations = evaluate_runs(runs_at([tmp_path]), EvaluationSettings(), 2, said.append)

    assert [evaluation.seed for evaluation in evaluations] == [0, 1, 2]
    assert evaluations[0].rewards == first.final_rewards
    assert evaluations[0].error == ""
    assert evaluations[1].error.endswith("CartPole-v1.zip: does not exist; the model was removed, or never saved")
    assert evaluations[2].error == "failed: ValueError: NaN in the policy"
    assert sorted(evaluation.seed for evaluation in said) == [0, 1, 2]


def test_a_stale_run_does_not_distort_the_mean_and_can_be_named_itself(tmp_path: Path) -> None:
    folder, record, spec = trained_run(tmp_path)
    planned = parse_config(EXPERIMENT, Path("experiment.yml"))
    assert plan(planned)[0].run_dir == spec.run_dir
    (tmp_path / "experiment.yml").write_text(EXPERIMENT)

    (among_others,) = evaluate_runs(runs_at([tmp_path])[:1], EvaluationSettings(), 1)
    (alone,) = evaluate_runs(runs_at([folder]), EvaluationSettings(), 1)

    assert among_others.error == "stale: has other settings than in experiment.yml"
    assert alone.rewards == record.final_rewards


def test_errors_and_dead_processes_cost_only_their_own_call() -> None:
    calls = [(f"{MODULE}:{name}", arguments) for name, arguments in (("add", (1, 2)), ("fail", ()), ("die", ()))]

    results = dict(map_in_workers(f"{__name__}:called", [*calls, (f"{MODULE}:add", (3, 4))], 3))

    assert (results[0], results[3]) == (3, 7)
    assert [str(results[index]) for index in (1, 2)] == [
        "ZeroDivisionError: one by nothing",
        "a worker process died (exit code 5)",
    ]
    assert all(isinstance(results[index], HarnessError) for index in (1, 2))


def test_a_call_that_hangs_costs_only_its_own_result() -> None:
    started = time.monotonic()
    calls = [("time:sleep", (60,)), (f"{MODULE}:add", (1, 2)), (f"{MODULE}:add", (3, 4))]

    results = list(map_in_workers(f"{__name__}:called", calls, 2, time_limit=4.0))

    assert [index for index, _ in results] == [1, 2, 0], "as they end"
    assert (dict(results)[1], dict(results)[2]) == (3, 7)
    assert str(dict(results)[0]) == "a worker process has not answered for 4 s"
    assert time.monotonic() - started < 40


def test_closing_the_results_ends_the_processes_that_still_run(tmp_path: Path) -> None:
    calls = [(f"{MODULE}:add", (1, 2)), (f"{MODULE}:write_pid_and_sleep", (tmp_path,))]

    results = map_in_workers(f"{__name__}:called", calls, 2)
    assert next(results) == (0, 3)
    while not (tmp_path / "pid").exists():
        time.sleep(0.05)
    results.close()

    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def called(target: str, arguments: tuple[Any, ...]) -> Any:
    return import_target(target)(*arguments)


def evaluation(seed: int, *rewards: float, algo: str = "ppo", error: str = "") -> RunEvaluation:
    return RunEvaluation(f"runs/{algo}/A_{seed + 1}", algo, "A-v0", seed, rewards, (1,) * len(rewards), error)


def test_a_score_is_a_mean_over_seeds_and_counts_runs_without_result() -> None:
    found = scores(
        [evaluation(0, 1.0, 3.0), evaluation(1, 6.0), evaluation(2, error="failed"), evaluation(0, algo="a2c")]
    )

    first = found[0]
    assert (first.algo, first.interval.estimate, first.interval.n, first.n_runs) == ("ppo", 4.0, 2, 3)
    assert math.isnan(found[1].interval.estimate)
    assert found[0].interval.low < 4.0 < found[0].interval.high


def test_the_spread_is_over_the_episodes_of_one_run() -> None:
    assert spread(evaluation(0, 1.0, 3.0)) == 1.0
    assert math.isnan(spread(evaluation(0)))
