"""Warnings are SB3's, word for word."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from stable_baselines3 import PPO

from custom_ppo import CustomPPO
from tests.custom_ppo.sb3.models import BOTH, make_model, trained


@pytest.mark.filterwarnings("default::UserWarning")
def test_a_batch_that_does_not_divide_the_rollout_is_warned_about_as_by_sb3() -> None:
    messages = []
    for cls in BOTH:
        with pytest.warns(UserWarning) as warned:  # noqa: PT030  the whole message is compared
            make_model(cls, n_steps=20, batch_size=16)
        messages.append([str(warning.message) for warning in warned])
    assert messages[0] == messages[1]
    assert "a truncated mini-batch of size 4" in messages[0][0]


@pytest.mark.filterwarnings("default::UserWarning")
def test_the_warning_about_a_batch_points_at_the_line_that_can_mend_it() -> None:
    with pytest.warns(UserWarning) as warned:  # noqa: PT030  its place is compared
        CustomPPO("MlpPolicy", "CartPole-v1", n_steps=20, batch_size=16, device="cpu")
    assert warned[0].filename == __file__


@pytest.mark.filterwarnings("default::UserWarning")
@pytest.mark.parametrize("cls", [CustomPPO, PPO])
def test_a_gpu_is_advised_against_in_sb3s_words(cls: type[Any]) -> None:
    model = trained(cls)
    model.device = torch.device("cuda")
    with pytest.warns(UserWarning, match="^You are trying to run PPO on the GPU, but it is primarily intended"):
        model._maybe_recommend_cpu()
