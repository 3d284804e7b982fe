"""The environments' side of a run: what they are asked, and what they answer."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from harness.crosscheck.tracing.recorder import EnoughSeen, Recorder, random_states, restore_random_states
from harness.crosscheck.tracing.trace import Transition

__all__ = ["RecordedEnv"]


class RecordedEnv(VecEnvWrapper):
    """Passes everything on and tells a recorder. A fed run gets the answers that the other run got."""

    def __init__(self, venv: VecEnv, recorder: Recorder, *, keep: bool = False, last_step: int | None = None) -> None:
        super().__init__(venv)
        self.recorder = recorder
        self.keep = keep
        self.last_step = last_step
        self._n_resets = 0
        self._actions: Any = None

    def reset(self) -> Any:
        """Only the first reset is part of training; later ones are a subject's own affair."""
        observations = self.venv.reset()
        feed = self.recorder.feed
        if feed is not None and self._n_resets == 0 and 0 in feed.transitions:
            observations = copy.deepcopy(feed.transitions[0].observations)
        if self.keep and self._n_resets == 0:
            nothing = np.zeros(self.num_envs)
            self.recorder.trace.transitions[0] = Transition(copy.deepcopy(observations), nothing, nothing, [])
        self._n_resets += 1
        self.recorder.acts("observation", observations)
        return observations

    def step_async(self, actions: Any) -> None:
        """Called with the actions as the subject hands them over."""
        recorder = self.recorder
        if self.last_step is not None and recorder.step >= self.last_step:
            raise EnoughSeen
        recorder.begin_step()
        recorder.saw("env_action", actions)
        if self.keep:
            recorder.trace.randomness[recorder.step] = random_states()
        if recorder.feed is None:
            self.venv.step_async(actions)

    def step_wait(self) -> Any:
        """The answer, which a fed run takes from the trace that feeds it."""
        recorder = self.recorder
        if recorder.feed is None:
            observations, rewards, dones, infos = self.venv.step_wait()
        else:
            known = recorder.feed.transitions.get(recorder.step)
            if known is None:
                raise EnoughSeen
            restore_random_states(recorder.feed.randomness[recorder.step])
            observations, rewards = copy.deepcopy(known.observations), known.rewards.copy()
            dones, infos = known.dones.copy(), copy.deepcopy(known.infos)
        if self.keep:
            recorder.trace.transitions[recorder.step] = Transition(
                copy.deepcopy(observations), rewards.copy(), dones.copy(), copy.deepcopy(list(infos))
            )
        recorder.saw("env_reward", rewards)
        recorder.saw("done", dones)
        recorder.acts("observation", observations)
        return observations, rewards, dones, infos
