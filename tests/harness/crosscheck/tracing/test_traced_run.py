from __future__ import annotations

import logging
import sys
import warnings
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import RecurrentPPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env

from custom_ppo import CustomA2C, CustomPPO
from harness.crosscheck.comparing.comparison import compare
from harness.crosscheck.environments import make_environment
from harness.crosscheck.profiles import Case
from harness.crosscheck.quantities import ORDER
from harness.crosscheck.tracing.construction import accepted_settings
from harness.crosscheck.tracing.modes import TracingMode
from harness.crosscheck.tracing.randomness import random_states, randomness_digest, restore_random_states
from harness.crosscheck.tracing.recorder import StopTracing
from harness.crosscheck.tracing.trace import Trace
from harness.crosscheck.tracing.traced_run import trace_run
from harness.errors import HarnessError
from tests.harness.crosscheck.tracing.cases import CASE, N_MINIBATCHES

ALGORITHMS = (PPO, A2C, CustomPPO, CustomA2C)


def untraced(algorithm: type[Any], case: Case, seed: int) -> tuple[list[torch.Tensor], Any]:
    """Return weights and random state after ordinary training, without tracing."""
    states = random_states()
    env = make_vec_env(lambda: make_environment(case.env), n_envs=case.n_envs, seed=seed)
    settings = accepted_settings(algorithm, {**case.settings, "device": "cpu"})
    with warnings.catch_warnings(action="ignore"):  # of the batch that does not divide the rollout
        model = algorithm("MlpPolicy", env, seed=seed, **settings)
    model.learn(model.n_steps * case.n_envs * case.n_updates)
    found = list(model.policy.parameters()), randomness_digest()
    restore_random_states(states)
    return found


def final(trace: Trace, quantity: str) -> Any:
    return trace.arrays[max(place for place in trace.arrays if place.quantity == quantity)]


def for_(algorithm: type[Any], case: Case = CASE) -> Case:
    return replace(case, settings=accepted_settings(algorithm, case.settings))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("operations", [True, False])
def test_training_is_the_same_to_the_bit_when_it_is_traced(algorithm: type[Any], operations: bool) -> None:
    weights, randomness = untraced(algorithm, for_(algorithm), 3)

    trace = trace_run(algorithm, for_(algorithm), 3, TracingMode(is_replayable=True, logs_operations=operations))

    vector = np.concatenate([weight.detach().numpy().reshape(-1) for weight in weights])
    assert np.array_equal(final(trace, "parameters"), vector)
    assert np.array_equal(final(trace, "final_randomness"), randomness)


@pytest.mark.parametrize("fed", [True, False])
def test_the_global_random_state_is_left_as_it_was(fed: bool) -> None:
    before = randomness_digest()

    kept = trace_run(PPO, CASE, 0, TracingMode.reference())
    trace_run(PPO, CASE, 0, TracingMode.fed(kept) if fed else TracingMode.subject(kept))

    assert np.array_equal(randomness_digest(), before)


class Crashing(PPO):
    def train(self) -> None:
        raise ValueError("no\ngood")


class Exiting(PPO):
    def train(self) -> None:
        raise SystemExit(3)


def line_of(raising: Any) -> int:
    """Return the line at which a function raises."""
    return int(raising.__code__.co_firstlineno) + 1


@pytest.mark.parametrize(("algorithm", "error"), [(Crashing, "ValueError: no"), (Exiting, "SystemExit: 3")])
def test_an_error_while_training_is_recorded_in_one_line(algorithm: type[Any], error: str) -> None:
    before = randomness_digest()

    trace = trace_run(algorithm, CASE, 0)

    assert trace.error == f"{error}, at test_traced_run.py:{line_of(algorithm.train)}"
    assert max(place.step for place in trace.arrays) == 16
    assert np.array_equal(randomness_digest(), before)


class Unmakeable(PPO):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError("no\ngood")


def test_a_model_that_cannot_be_made_is_an_error_in_one_line() -> None:
    with pytest.raises(HarnessError) as caught:
        trace_run(Unmakeable, CASE, 0, name="mine")

    line = line_of(Unmakeable.__init__)
    assert (
        str(caught.value) == f"mine cannot be made for CartPole15: ValueError: no, at test_traced_run.py:{line} "
        "(--env chooses other environments)"
    )


def test_another_signature_is_answered_with_what_a_constructor_takes() -> None:
    class OnlyEnv:
        def __init__(self, env: Any) -> None: ...

    with pytest.raises(HarnessError) as caught:
        trace_run(OnlyEnv, CASE, 0)

    assert str(caught.value).startswith("OnlyEnv cannot be made for CartPole15: TypeError: ")
    assert str(caught.value).endswith(" (its constructor must accept policy, env and settings)")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_fed_run_of_the_same_shows_no_difference(algorithm: type[Any]) -> None:
    kept = trace_run(algorithm, for_(algorithm), 0, TracingMode.reference())

    fed = trace_run(algorithm, for_(algorithm), 0, TracingMode.fed(kept))

    assert compare(kept, fed).first is None


def test_a_minibatch_is_counted_for_every_step_of_the_optimiser() -> None:
    trace = trace_run(PPO, CASE, 0)

    assert sum(place.rank == ORDER["parameters"] for place in trace.arrays) == N_MINIBATCHES
    assert max(trace.moments) == (32, 7)  # where training ended
    assert trace.optimizer == "Adam(betas=(0.9, 0.999), eps=1e-05)"


def test_first_weights_and_random_state_can_be_copied() -> None:
    kept = trace_run(PPO, CASE, 0, TracingMode.reference())

    copied = trace_run(PPO, CASE, 0, TracingMode.subject(kept, copy_weights=True))
    assert compare(kept, copied).first is None
    other = trace_run(PPO, CASE, 5, TracingMode.subject(kept, copy_weights=True))
    assert np.array_equal(other.get(0, 0, "initial_parameters"), kept.get(0, 0, "initial_parameters"))  # type: ignore[arg-type]


def test_weights_of_other_shapes_cannot_be_copied() -> None:
    kept = trace_run(PPO, CASE, 0)
    small = replace(CASE, settings={**CASE.settings, "policy_kwargs": {"net_arch": [3]}})

    with pytest.raises(
        HarnessError, match=r"^the weights cannot be copied: their shapes are 3x4, 3, .*, the reference's 64x4, 64"
    ):
        trace_run(PPO, small, 0, TracingMode.subject(kept, copy_weights=True))


def test_a_check_can_stop_a_run() -> None:
    def check(trace: Trace, step: int, minibatch: int) -> None:
        if (step, minibatch) == (16, 2):
            raise StopTracing

    trace = trace_run(PPO, CASE, 0, TracingMode.trial(trace_run(PPO, CASE, 0), check))

    assert max(trace.moments) == (16, 2)
    assert trace.error is None


def test_only_what_the_mode_needs_is_kept() -> None:
    plain, kept = trace_run(PPO, CASE, 0, TracingMode.names_only()), trace_run(PPO, CASE, 0, TracingMode.reference())

    assert (plain.transitions, plain.operations) == ({}, {})
    assert list(kept.transitions) == list(range(33))
    assert set(kept.operations) >= {(16, 1), (32, 6)}


def test_output_is_discarded_and_logging_is_as_before(capfd: pytest.CaptureFixture[str]) -> None:
    class Loud(PPO):
        def train(self) -> None:
            print("loud")
            print("loud", file=sys.stderr)
            logging.getLogger("loud").warning("loud")
            super().train()

    logging.disable(logging.DEBUG)
    try:
        trace_run(Loud, CASE, 0)
        assert logging.root.manager.disable == logging.DEBUG
    finally:
        logging.disable(logging.NOTSET)
    assert capfd.readouterr() == ("", "")


class Mixed(gym.Env[Any, Any]):
    """Observations of two kinds, three switches."""

    observation_space = spaces.Dict({"a": spaces.Box(-1, 1, (3,), np.float32), "b": spaces.Discrete(4)})
    action_space = spaces.MultiBinary(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.n_steps = 0
        return self._observe(), {}

    def step(self, action: Any) -> Any:
        self.n_steps += 1
        return self._observe(), float(np.sum(action)), False, self.n_steps >= 5, {}

    def _observe(self) -> Any:
        return {"a": self.np_random.uniform(-1, 1, 3).astype(np.float32), "b": int(self.np_random.integers(4))}


class Pictures(Mixed):
    """Small images."""

    observation_space = spaces.Box(0, 255, (36, 36, 1), np.uint8)
    action_space = spaces.Discrete(3)

    def _observe(self) -> Any:
        return self.np_random.integers(0, 256, (36, 36, 1)).astype(np.uint8)


gym.register("CrosscheckMixed-v0", entry_point=Mixed)
gym.register("CrosscheckPictures-v0", entry_point=Pictures)
SMALL_CNN = {"features_extractor_kwargs": {"features_dim": 8}}
UNUSUAL = {
    "dictionaries": replace(CASE, env="CrosscheckMixed-v0"),
    "images": replace(
        CASE, env="CrosscheckPictures-v0", policy="CnnPolicy", settings={**CASE.settings, "policy_kwargs": SMALL_CNN}
    ),
    "gsde": replace(CASE, env="TightBounds", settings={**CASE.settings, "use_sde": True, "sde_sample_freq": 4}),
    "one environment": replace(CASE, n_envs=1),
    "one transition left": replace(CASE, settings={**CASE.settings, "batch_size": 31}),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_cases_are_traced_like_the_others(name: str) -> None:
    baseline = trace_run(CustomPPO, UNUSUAL[name], 0, TracingMode.reference(), engine="autograd")
    assert baseline.error is None

    for mode in (TracingMode.subject(baseline), TracingMode.fed(baseline)):
        assert compare(baseline, trace_run(PPO, UNUSUAL[name], 0, mode)).first is None


def test_a_recurrent_policy_is_traced_too() -> None:
    settings = {**CASE.settings, "policy_kwargs": {"lstm_hidden_size": 8}}
    kept = trace_run(RecurrentPPO, replace(CASE, settings=settings), 0, TracingMode.reference())

    assert kept.error is None
    for mode in (TracingMode.subject(kept), TracingMode.fed(kept)):
        assert compare(kept, trace_run(RecurrentPPO, replace(CASE, settings=settings), 0, mode)).first is None
