from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from harness.crosscheck.environments import make_environment
from harness.crosscheck.tracing.env_probe import EnvProbe
from harness.crosscheck.tracing.randomness import randomness_digest
from harness.crosscheck.tracing.recorder import Recorder, StopTracing
from harness.crosscheck.tracing.trace import Trace
from harness.crosscheck.tracing.trace_builder import TraceBuilder

RIGHT, LEFT = np.array([1, 1]), np.array([0, 0])


def plain(seed: int = 0) -> VecEnv:
    return make_vec_env(lambda: make_environment("CartPole15"), n_envs=2, seed=seed)


def probe(*, replayable: bool = False, fed_from: Trace | None = None, last_step: int | None = None) -> EnvProbe:
    recorder = Recorder(TraceBuilder("x", n_steps=4, n_envs=2), fed_from=fed_from)
    return EnvProbe(plain(), recorder, replayable=replayable, last_step=last_step)


def answers_of(env: VecEnv, actions: Any, n_steps: int) -> list[Any]:
    answers: list[Any] = [env.reset()]
    for _ in range(n_steps):
        answers += env.step(actions)[:3]
    return answers


def test_the_environments_answer_as_they_do_without_a_probe() -> None:
    for ours, theirs in zip(answers_of(probe(), RIGHT, 20), answers_of(plain(), RIGHT, 20), strict=True):
        assert np.array_equal(ours, theirs)


def test_actions_and_answers_are_recorded_at_their_step() -> None:
    env = probe()
    answers = answers_of(env, RIGHT, 2)

    trace = env.recorder.builder.finish()
    assert np.array_equal(trace.get(1, 0, "observation"), answers[0])  # type: ignore[arg-type]
    assert np.array_equal(trace.get(2, 0, "observation"), answers[1])  # type: ignore[arg-type]
    assert np.array_equal(trace.get(2, 0, "env_reward"), answers[5])  # type: ignore[arg-type]
    assert np.array_equal(trace.get(2, 0, "env_action"), RIGHT)  # type: ignore[arg-type]
    assert (trace.transitions, trace.random_states) == ({}, {})


def test_a_step_after_the_last_stops_tracing() -> None:
    env = probe(last_step=2)
    answers_of(env, RIGHT, 2)

    with pytest.raises(StopTracing):
        env.step(RIGHT)


def test_a_fed_run_gets_the_others_answers_to_any_action() -> None:
    source = probe(replayable=True)
    expected = answers_of(source, RIGHT, 18)  # some episodes end on the way

    answers = answers_of(probe(fed_from=source.recorder.builder.finish()), LEFT, 18)

    assert any(done.any() for done in expected[3::3])
    for ours, theirs in zip(answers, expected, strict=True):
        assert np.array_equal(ours, theirs)


def test_a_fed_run_stops_where_the_other_ended() -> None:
    source = probe(replayable=True)
    answers_of(source, RIGHT, 2)
    env = probe(fed_from=source.recorder.builder.finish())
    answers_of(env, RIGHT, 2)

    with pytest.raises(StopTracing):
        env.step(RIGHT)


def test_a_fed_run_goes_on_with_the_others_random_state() -> None:
    source = probe(replayable=True)
    answers_of(source, RIGHT, 1)
    before = randomness_digest()
    env = probe(fed_from=source.recorder.builder.finish())
    env.reset()
    torch.rand(3)
    assert (randomness_digest() != before).any()

    env.step(LEFT)

    assert np.array_equal(randomness_digest(), before)


def test_changing_an_answer_does_not_change_what_was_kept() -> None:
    env = probe(replayable=True)
    env.reset()
    observations, rewards, _, infos = env.step(RIGHT)
    observations += 1
    rewards += 1
    infos[0]["mine"] = True

    kept = env.recorder.builder.transitions[1]
    assert (kept.rewards == 1).all()
    assert not np.array_equal(kept.observations, observations)
    assert "mine" not in kept.infos[0]


def test_a_second_reset_is_not_recorded_as_the_first() -> None:
    env = probe(replayable=True)
    first = env.reset()
    env.reset()

    assert np.array_equal(env.recorder.builder.transitions[0].observations, first)
