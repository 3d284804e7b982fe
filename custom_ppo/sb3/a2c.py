"""CustomA2C: A2C as a special case of PPO, with the arguments and logger keys of SB3's A2C."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Self

import torch
from stable_baselines3 import A2C
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback

from custom_ppo.agent import UpdateReport
from custom_ppo.config import Schedule
from custom_ppo.engines import EngineName
from custom_ppo.recipe import SB3_A2C, adam, rmsprop
from custom_ppo.sb3.log import mean, variance_explained
from custom_ppo.sb3.ppo import CustomPPO

__all__ = ["CustomA2C"]


class CustomA2C(CustomPPO):
    """Advantage actor-critic: PPO with one pass over one batch, the log-probability instead of the ratio, and RMSprop.

    Given the same arguments, environment and seed it trains to the same bits as SB3's A2C (arXiv 2205.09123 says why).
    rms_prop_eps, use_rms_prop: RMSprop with this eps, or Adam; the other arguments are those of CustomPPO.
    """

    sb3_class: ClassVar[type[OnPolicyAlgorithm]] = A2C
    file_keys = ("n_steps", "gae_lambda", "normalize_advantage")
    foreign_keys = ("n_epochs", "clip_range")  # a file that has these is one of PPO

    def __init__(
        self,
        policy: str | type[BasePolicy],
        env: GymEnv | str,
        learning_rate: float | Schedule = 7e-4,
        n_steps: int = 5,
        gamma: float = 0.99,
        gae_lambda: float = 1.0,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        rms_prop_eps: float = 1e-5,
        use_rms_prop: bool = True,
        use_sde: bool = False,
        sde_sample_freq: int = -1,
        rollout_buffer_class: type[RolloutBuffer] | None = None,
        rollout_buffer_kwargs: dict[str, Any] | None = None,
        normalize_advantage: bool = False,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
        *,
        engine: EngineName = "auto",
    ) -> None:
        super().__init__(
            policy,
            env,
            learning_rate=learning_rate,
            n_steps=n_steps,
            # One pass over the whole batch: the policy is still the old one, so the ratio is 1 and the clip is idle.
            batch_size=None,
            n_epochs=1,
            gamma=gamma,
            gae_lambda=gae_lambda,
            normalize_advantage=normalize_advantage,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            use_sde=use_sde,
            sde_sample_freq=sde_sample_freq,
            rollout_buffer_class=rollout_buffer_class,
            rollout_buffer_kwargs=rollout_buffer_kwargs,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=_init_setup_model,
            engine=engine,
            recipe=SB3_A2C.replace(optimizer=partial(rmsprop, eps=rms_prop_eps) if use_rms_prop else adam),
        )

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int | None = 100,
        tb_log_name: str = "A2C",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Train for at least total_timesteps environment steps; see `CustomPPO.learn`."""
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)

    def _log_update(self, report: UpdateReport) -> None:
        # A2C's keys differ from PPO's: no KL and no clipping, "policy_loss" instead of "policy_gradient_loss".
        log = self.logger.record
        log("train/learning_rate", report.config.learning_rate)
        log("train/n_updates", self._n_updates, exclude="tensorboard")
        log("train/explained_variance", variance_explained(self.rollout_buffer))
        log("train/entropy_loss", float(mean(report.entropy_losses)))
        log("train/policy_loss", float(mean(report.policy_losses)))
        log("train/value_loss", float(mean(report.value_losses)))
        if hasattr(self.policy, "log_std"):
            log("train/std", torch.exp(self.policy.log_std).mean().item())
