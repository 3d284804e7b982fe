"""Environments of a traced run: their inputs and outputs are recorded, and the outputs are replaced in a fed run."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from harness.crosscheck.tracing.randomness import random_states, restore_random_states
from harness.crosscheck.tracing.recorder import Recorder, StopTracing
from harness.crosscheck.tracing.trace import Transition

__all__ = ["EnvProbe"]


class EnvProbe(VecEnvWrapper):
    """Vectorised environment that records its inputs and outputs; a fed run gets the outputs of the feeding trace.

    replayable: keep transitions and random states, so that the trace can feed other runs.
    last_step: raise StopTracing at any step after this one.
    """

    def __init__(
        self, venv: VecEnv, recorder: Recorder, *, replayable: bool = False, last_step: int | None = None
    ) -> None:
        super().__init__(venv)
        self.recorder = recorder
        self.replayable = replayable
        self.last_step = last_step
        self._n_resets = 0

    def reset(self) -> Any:
        """Reset the environments. Only the first reset is part of training; a subject may evaluate after it."""
        observations = self.venv.reset()
        recorder = self.recorder
        if recorder.fed_from is not None and self._n_resets == 0 and 0 in recorder.fed_from.transitions:
            observations = copy.deepcopy(recorder.fed_from.transitions[0].observations)
        if self.replayable and self._n_resets == 0:
            nothing = np.zeros(self.num_envs)
            recorder.builder.transitions[0] = Transition(copy.deepcopy(observations), nothing, nothing, [])
        self._n_resets += 1
        recorder.record_upcoming("observation", observations)
        return observations

    def step_async(self, actions: Any) -> None:
        """Record the actions, and pass them on unless the run is fed."""
        recorder = self.recorder
        # Raised not at the last step but at the next call, because the last update comes between the two.
        if self.last_step is not None and recorder.step >= self.last_step:
            raise StopTracing
        recorder.begin_step()
        recorder.record_step("env_action", actions)
        if self.replayable:
            recorder.builder.random_states[recorder.step] = random_states()
        if recorder.fed_from is None:
            self.venv.step_async(actions)

    def step_wait(self) -> Any:
        """Return the transition of the environments, or in a fed run the feeding trace's; either is recorded."""
        recorder = self.recorder
        if recorder.fed_from is None:
            observations, rewards, dones, infos = self.venv.step_wait()
        else:
            known = recorder.fed_from.transitions.get(recorder.step)
            if known is None:
                raise StopTracing
            # Environments that draw from the global generators would have moved them; here none was called.
            restore_random_states(recorder.fed_from.random_states[recorder.step])
            observations, rewards = copy.deepcopy(known.observations), known.rewards.copy()
            dones, infos = known.dones.copy(), copy.deepcopy(known.infos)
        if self.replayable:
            # Copies, because a subject may scale rewards in place or write into infos.
            recorder.builder.transitions[recorder.step] = Transition(
                copy.deepcopy(observations), rewards.copy(), dones.copy(), copy.deepcopy(list(infos))
            )
        recorder.record_step("env_reward", rewards)
        recorder.record_step("done", dones)
        recorder.record_upcoming("observation", observations)
        return observations, rewards, dones, infos
