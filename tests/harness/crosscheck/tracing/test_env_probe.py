from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from harness.crosscheck.environments import make_world
from harness.crosscheck.tracing.env_probe import RecordedEnv
from harness.crosscheck.tracing.recorder import EnoughSeen, Recorder, randomness_digest
from harness.crosscheck.tracing.trace import Trace

RIGHT, LEFT = np.array([1, 1]), np.array([0, 0])


def plain(seed: int = 0) -> VecEnv:
    return make_vec_env(lambda: make_world("CartPole15"), n_envs=2, seed=seed)


def recorded(*, keep: bool = False, feed: Trace | None = None, last_step: int | None = None) -> RecordedEnv:
    return RecordedEnv(plain(), Recorder(Trace("x", 4, 2), feed=feed), keep=keep, last_step=last_step)


def walked(env: VecEnv, actions: Any, n_steps: int) -> list[Any]:
    answers: list[Any] = [env.reset()]
    for _ in range(n_steps):
        answers += env.step(actions)[:3]
    return answers


def test_the_environments_answer_as_if_nobody_watched() -> None:
    for ours, theirs in zip(walked(recorded(), RIGHT, 20), walked(plain(), RIGHT, 20), strict=True):
        assert np.array_equal(ours, theirs)


def test_actions_and_answers_are_seen_at_their_step() -> None:
    env = recorded()
    answers = walked(env, RIGHT, 2)

    trace = env.recorder.trace
    assert np.array_equal(trace.get(1, 0, "observation"), answers[0])  # type: ignore[arg-type]
    assert np.array_equal(trace.get(2, 0, "observation"), answers[1])  # type: ignore[arg-type]
    assert np.array_equal(trace.get(2, 0, "env_reward"), answers[5])  # type: ignore[arg-type]
    assert np.array_equal(trace.get(2, 0, "env_action"), RIGHT)  # type: ignore[arg-type]
    assert (trace.transitions, trace.randomness) == ({}, {})


def test_a_step_after_the_last_is_enough() -> None:
    env = recorded(last_step=2)
    walked(env, RIGHT, 2)

    with pytest.raises(EnoughSeen):
        env.step(RIGHT)


def test_a_fed_run_gets_the_answers_of_the_other_whatever_it_does() -> None:
    source = recorded(keep=True)
    expected = walked(source, RIGHT, 18)  # some episodes end on the way

    answers = walked(recorded(feed=source.recorder.trace), LEFT, 18)

    assert any(done.any() for done in expected[3::3])
    for ours, theirs in zip(answers, expected, strict=True):
        assert np.array_equal(ours, theirs)


def test_a_fed_run_may_not_go_farther_than_the_other() -> None:
    source = recorded(keep=True)
    walked(source, RIGHT, 2)
    env = recorded(feed=source.recorder.trace)
    walked(env, RIGHT, 2)

    with pytest.raises(EnoughSeen):
        env.step(RIGHT)


def test_a_fed_run_draws_the_random_numbers_of_the_other() -> None:
    source = recorded(keep=True)
    walked(source, RIGHT, 1)
    before = randomness_digest()
    env = recorded(feed=source.recorder.trace)
    env.reset()
    torch.rand(3)
    assert (randomness_digest() != before).any()

    env.step(LEFT)

    assert np.array_equal(randomness_digest(), before)


def test_who_changes_an_answer_does_not_change_what_was_kept() -> None:
    env = recorded(keep=True)
    env.reset()
    observations, rewards, _, infos = env.step(RIGHT)
    observations += 1
    rewards += 1
    infos[0]["mine"] = True

    kept = env.recorder.trace.transitions[1]
    assert (kept.rewards == 1).all()
    assert not np.array_equal(kept.observations, observations)
    assert "mine" not in kept.infos[0]


def test_a_second_reset_is_the_subjects_own_affair() -> None:
    env = recorded(keep=True)
    first = env.reset()
    env.reset()

    assert np.array_equal(env.recorder.trace.transitions[0].observations, first)
