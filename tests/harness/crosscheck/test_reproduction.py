from __future__ import annotations

import dataclasses

import pytest
from stable_baselines3 import PPO

from harness.crosscheck.recording import Pairing
from harness.crosscheck.reproduction import explain_pairs
from tests.harness.crosscheck.explaining.small_catalogue import LAMBDA, UNCLIPPED, Noisy, sb3_with
from tests.harness.crosscheck.tracing.cases import CASE

ONE_UPDATE = dataclasses.replace(CASE, n_updates=1)
PAIRS = [(ONE_UPDATE, seed) for seed in (2, 1, 0)]


@pytest.fixture(autouse=True)
def small_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.crosscheck.reproduction.CATALOGUE", (LAMBDA, UNCLIPPED))


def test_the_lowest_seed_is_explained_and_the_others_are_tested() -> None:
    explanation, reproduced = explain_pairs(Pairing(sb3_with(gae_lambda=1.0), "ppo"), PAIRS, seconds=60)

    assert (explanation.verdict, explanation.deviations) == ("explained exactly", (("lambda_1",),))
    assert len(explanation.scores) == 1
    assert reproduced == (3, 3)


def test_an_explanation_need_not_hold_for_every_seed() -> None:
    class OfSeedZero(PPO):
        def _setup_model(self) -> None:
            super()._setup_model()
            if self.seed == 0:
                self.rollout_buffer.gae_lambda = 1.0

    explanation, reproduced = explain_pairs(Pairing(OfSeedZero, "ppo"), PAIRS, seconds=60)

    assert explanation.deviations == (("lambda_1",),)
    assert reproduced == (1, 3)


def test_without_an_explanation_no_run_is_reproduced() -> None:
    explanation, reproduced = explain_pairs(Pairing(Noisy, "ppo"), PAIRS, seconds=60)

    assert (explanation.verdict, reproduced) == ("not explained", (0, 3))
