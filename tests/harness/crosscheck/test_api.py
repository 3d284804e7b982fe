from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from harness.crosscheck.api import Crosscheck, crosscheck
from harness.crosscheck.reporting.findings import END_OF_TRAINING
from harness.crosscheck.reporting.json_format import as_json
from harness.errors import HarnessError, UnknownNameError
from tests.harness.crosscheck.subjects import HERE, FailsAtOnce, Plain, first_divergence, run_of


class OtherStart(PPO):
    """Makes its networks under another seed: only its initial weights differ."""

    def __init__(self, *args: Any, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, seed=seed + 1000, **kwargs)
        self.env.seed(seed)  # type: ignore[union-attr]
        self.action_space.seed(seed)


def test_copied_weights_make_a_subject_with_another_start_identical() -> None:
    assert first_divergence(OtherStart).quantity == "initial_parameters"
    assert run_of(OtherStart, copy_weights=True).verdict == "identical"


def test_weights_of_another_network_cannot_be_copied() -> None:
    class Small(PPO):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs, policy_kwargs={"net_arch": [8]})

    with pytest.raises(HarnessError, match=r"^the weights cannot be copied: their shapes are 8x4, 8"):
        run_of(Small, copy_weights=True)


@pytest.mark.parametrize("updates", [1, 3])
def test_the_requested_number_of_updates_is_compared(updates: int) -> None:
    run = run_of(PPO, updates=updates)

    assert max(iteration for iteration, _, _ in run.largest) == updates
    assert run.n_minibatches == 9 * updates
    assert len(run.largest) == 10 * updates


def test_environments_and_seeds_are_checked_in_this_order() -> None:
    found = crosscheck(Plain, envs=("CartPole15", "Acrobot-v1"), seeds=(3, 1), updates=1)

    runs = [(run.env, run.seed) for run in found.runs]
    assert runs == [("CartPole15", 3), ("Acrobot-v1", 3), ("CartPole15", 1), ("Acrobot-v1", 1)]
    assert (found.subject, found.reference, found.profile) == (f"{HERE}:Plain", "ppo", "stress")


def test_the_number_of_threads_is_set_while_the_subject_trains() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []

    class Telling(PPO):
        def train(self) -> None:
            seen.append(torch.get_num_threads())
            super().train()

    try:
        assert run_of(Telling, updates=1, threads=2).verdict == "identical"
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {2}


def test_workers_give_the_same_answer() -> None:
    name = f"{HERE}:SmallSteps"
    options: dict[str, Any] = {"envs": ("CartPole15", "TightBounds"), "seeds": (0, 1), "updates": 1}

    alone, together = (crosscheck(name, workers=workers, **options) for workers in (1, 3))

    assert alone.runs == together.runs
    assert (together.subject, together.verdict) == (name, "different")


def test_a_mistake_of_the_user_is_reported_from_a_worker_too() -> None:
    with pytest.raises(HarnessError, match=f"^{HERE}:Unmakeable cannot be made"):
        crosscheck(f"{HERE}:Unmakeable", envs=("CartPole15",), seeds=(0, 1), workers=2)
    with pytest.raises(UnknownNameError, match="has no Nobody"):
        crosscheck(f"{HERE}:Nobody", envs=("CartPole15",), seeds=(0, 1), workers=2)


def test_the_worst_of_the_runs_is_the_verdict() -> None:
    class SometimesWrong(PPO):
        def train(self) -> None:
            if self.seed == 1:
                np.random.rand()  # noqa: NPY002
            super().train()

    found = crosscheck(SometimesWrong, envs=("CartPole15",), seeds=(0, 1), updates=1)

    assert [run.verdict for run in found.runs] == ["identical", "different"]
    assert (found.verdict, found.identical) == ("different", False)


def test_a_result_is_plain_data() -> None:
    found = crosscheck(FailsAtOnce, envs=("CartPole15",), seeds=(0,), updates=1)

    assert isinstance(found, Crosscheck)
    text = json.dumps(as_json(found), allow_nan=False)
    assert json.loads(text)["runs"][0]["first"]["quantity"] == END_OF_TRAINING
    assert isinstance(found.runs, Sequence)
