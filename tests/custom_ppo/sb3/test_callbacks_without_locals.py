"""Callbacks for which a lean rollout makes no local variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    ConvertCallback,
    EvalCallback,
    EveryNTimesteps,
    LogEveryNTimesteps,
    ProgressBarCallback,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnNoModelImprovement,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env

from custom_ppo.sb3.local_variables import reads_no_locals
from tests.custom_ppo.sb3.lean_model import LeanPPO
from tests.custom_ppo.sb3.models import make_model


class Silent(BaseCallback):
    reads_locals = False

    def __init__(self, callback: BaseCallback | None = None) -> None:
        super().__init__()
        self.callback = callback

    def _on_step(self) -> bool:
        return True


class ChildOfSilent(Silent):
    pass


def evaluation(**callbacks: Any) -> EvalCallback:
    return EvalCallback(make_vec_env("CartPole-v1"), verbose=0, **callbacks)


def patched(name: str) -> Silent:
    callback = Silent()
    setattr(callback, name, getattr(callback, name))
    return callback


WITHOUT = {
    "none": ConvertCallback(None),
    "empty list": CallbackList([]),
    "EvalCallback": evaluation(
        callback_on_new_best=StopTrainingOnRewardThreshold(1.0),
        callback_after_eval=StopTrainingOnNoModelImprovement(2),
    ),
    "list": CallbackList([CheckpointCallback(10, "folder"), LogEveryNTimesteps(10), ProgressBarCallback()]),
    "EveryNTimesteps": EveryNTimesteps(10, Silent()),
    "says so": Silent(evaluation()),
}
WITH = {
    "function": ConvertCallback(lambda locals_, globals_: True),
    "reads dones": StopTrainingOnMaxEpisodes(2),
    "subclass that does not say so": ChildOfSilent(),
    "one in a list": CallbackList([Silent(), CallbackList([StopTrainingOnMaxEpisodes(2)])]),
    "EveryNTimesteps": EveryNTimesteps(10, StopTrainingOnMaxEpisodes(2)),
    "on new best": evaluation(callback_on_new_best=ChildOfSilent()),
    "after evaluation": evaluation(callback_after_eval=ChildOfSilent()),
    "child of one that says so": Silent(ChildOfSilent()),
    "patched": patched("_on_step"),
    "patched update_locals": patched("update_locals"),
}


@pytest.mark.parametrize("name", list(WITHOUT))
def test_callbacks_that_read_no_local_variable_are_known(name: str) -> None:
    assert reads_no_locals(WITHOUT[name])


@pytest.mark.parametrize("name", list(WITH))
def test_callbacks_that_may_read_local_variables_are_known(name: str) -> None:
    assert not reads_no_locals(WITH[name])


def test_every_callback_is_called_at_every_step(tmp_path: Path) -> None:
    callback = CallbackList([Silent(), CheckpointCallback(10, str(tmp_path))])
    make_model(LeanPPO).learn(32, callback=callback)
    assert {child.n_calls for child in (callback, *callback.callbacks)} == {32}
    assert {child.num_timesteps for child in (callback, *callback.callbacks)} == {32}
    assert len(list(tmp_path.iterdir())) == 3
