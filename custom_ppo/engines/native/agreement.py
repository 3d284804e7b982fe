"""Comparison of the kernels with autograd for two small policies, for somebody who asks whether they agree here."""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces

from custom_ppo.config import PPOConfig
from custom_ppo.engines.native.actor import make_actor
from custom_ppo.engines.native.engine import NativeEngine
from custom_ppo.engines.native.learner import Transitions
from custom_ppo.engines.native.self_check import update_agrees
from custom_ppo.memory import Batch
from custom_ppo.networks import ActorCritic
from custom_ppo.recipe import SB3_PPO

__all__ = ["ACTION_SPACES", "kernels_agree"]

ACTION_SPACES: tuple[spaces.Discrete | spaces.Box, ...] = (spaces.Discrete(3), spaces.Box(-1, 1, (2,), np.float32))
"""Actions of the policies that are compared."""

N_TRANSITIONS, N_ENVS = 64, 8
OBSERVATIONS = spaces.Box(-np.inf, np.inf, (4,), np.float32)
CONFIG = PPOConfig(clip_range_vf=0.2, ent_coef=0.01).at(1.0)


def kernels_agree(action_space: spaces.Discrete | spaces.Box) -> bool:
    """Return True if an update and the actions of SB3's default policy have the bits of autograd and of the policy.

    torch's random generator is as before afterwards. The kernels must be available.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        policy = ActorCritic(OBSERVATIONS, action_space)
        engine = NativeEngine(policy, SB3_PPO.optimizer(policy.parameters(), CONFIG.learning_rate), SB3_PPO)
        observations = torch.randn(N_TRANSITIONS, *OBSERVATIONS.shape)
        with torch.no_grad():
            actions, values, log_prob = policy(observations)
        batch = Batch(
            observations, actions, values.flatten(), log_prob, torch.randn(N_TRANSITIONS), torch.randn(N_TRANSITIONS)
        )
        engine.start()
        try:
            transitions = Transitions(observations, batch)
            update = update_agrees(engine.learner(N_TRANSITIONS), batch, transitions, CONFIG, N_TRANSITIONS)
        finally:
            engine.finish()
        return update and make_actor(engine, N_ENVS) is not None
