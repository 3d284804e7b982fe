"""CustomPPO: the agent behind SB3's interface, a drop-in for `stable_baselines3.PPO`.

It adds environments, callbacks and logger; the algorithm itself is in `agent` and `rollout`, files are in `interchange`
and `resume`. It extends SB3's BaseAlgorithm, which contains no algorithm.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self, get_args

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback
from stable_baselines3.common.utils import FloatSchedule
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from custom_ppo.agent import PPOAgent, UpdateReport, to_tensor
from custom_ppo.config import INITIAL_PENALTY, InvalidConfigError, PPOConfig, Schedule
from custom_ppo.engines import Engine, EngineName, make_engine
from custom_ppo.engines.native.status import engine_name, kernel_status, missing_kernels_note
from custom_ppo.memory import TensorObservation, TrajectoryMemory
from custom_ppo.recipe import SB3_PPO, Recipe, named_recipe, rescaled_to_bounds
from custom_ppo.rollout import interact
from custom_ppo.sb3.advice import print_once, recommend_cpu, warn_of_truncated_minibatch
from custom_ppo.sb3.buffer import RolloutMemory
from custom_ppo.sb3.lean_rollout import collect, rollout_actor
from custom_ppo.sb3.log import log_progress, log_update
from custom_ppo.sb3.policy import CnnPolicy, MlpPolicy, MultiInputPolicy
from custom_ppo.sb3.resume import Resumable

__all__ = ["CustomPPO"]


class SB3Agent(PPOAgent):
    """PPOAgent that converts terminal observations as SB3's policies do."""

    last_timeout: tuple[TensorObservation, Tensor] | None = None
    """Terminal observation [1, ...] and its value [1] of the last episode that a time limit cut in this rollout."""

    def start_rollout(self) -> None:
        """Forget the last rollout."""
        super().start_rollout()
        self.last_timeout = None

    def terminal_value(self, observation: Any) -> Tensor:
        """Return V(s), [1], of one observation; the policy transposes images."""
        policy: Any = self.policy
        # obs_to_tensor adds the axis of environments, and moves that of an image's channels first: [...] -> [1, ...].
        terminal_obs = policy.obs_to_tensor(observation)[0]
        value = self.value(terminal_obs)[0]  # [1, 1] -> [1]
        self.last_timeout = terminal_obs, value
        return value


class CustomPPO(Resumable):
    """Proximal policy optimisation with the arguments, defaults, callbacks, logger keys and files of SB3's PPO.

    Given the same arguments, environment and seed it trains to the same bits.

    policy: "MlpPolicy", "CnnPolicy" for images, "MultiInputPolicy" for Dict observations, or a policy class.
    env: a Gymnasium environment, a VecEnv of SB3, or an id such as "CartPole-v1".
    learning_rate ... target_kl: see `PPOConfig`; learning_rate, clip_range and clip_range_vf may be functions of the
        progress remaining (from 1 to 0).
    rollout_buffer_class, rollout_buffer_kwargs: only SB3's own classes; the memory is a part of this algorithm.
    stats_window_size: episodes over which `rollout/ep_rew_mean` is the mean.
    tensorboard_log: folder, or None.
    policy_kwargs: arguments of the policy, as in SB3.
    verbose: 0 silent, 1 information, 2 details.
    seed: of torch, NumPy, Python and the environments; None leaves them as they are.
    device: "cpu", "cuda", or "auto".
    recipe: the parts of the algorithm: a `Recipe` or the name of a preset ("ppo", "a2c", "ppo_penalty",
        "cleanrl_ppo"); the default is SB3's PPO.
    engine: way to compute updates and actions, all with the same bits: "autograd" (readable, for everything), "fused"
        (faster, in Python), "native" (fastest, compiled, for MLPs on the CPU, also on Dicts without images), or "auto",
        the fastest that is possible.

    Raises InvalidConfigError, a ValueError, for values that cannot train.
    """

    # On the class and not on the model, so that files do not name it: SB3 would make a buffer of that class.
    rollout_buffer_class: type[Any] | None = RolloutMemory
    rollout_buffer_kwargs: ClassVar[dict[str, Any]] = {}
    policy: MlpPolicy
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": MlpPolicy,
        "CnnPolicy": CnnPolicy,
        "MultiInputPolicy": MultiInputPolicy,
    }

    def __init__(
        self,
        policy: str | type[BasePolicy],
        env: GymEnv | str,
        learning_rate: float | Schedule = 3e-4,
        n_steps: int = 2048,
        batch_size: int | None = 64,
        n_epochs: int = 10,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        clip_range: float | Schedule = 0.2,
        clip_range_vf: float | Schedule | None = None,
        normalize_advantage: bool = True,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        use_sde: bool = False,
        sde_sample_freq: int = -1,
        rollout_buffer_class: type[RolloutBuffer] | None = None,
        rollout_buffer_kwargs: dict[str, Any] | None = None,
        target_kl: float | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
        *,
        recipe: Recipe | str = SB3_PPO,
        engine: EngineName = "auto",
    ) -> None:
        if engine not in get_args(EngineName):
            raise InvalidConfigError(f"`engine` must be one of {', '.join(get_args(EngineName))}, got {engine!r}")
        if rollout_buffer_class not in (None, RolloutBuffer, DictRolloutBuffer) or rollout_buffer_kwargs:
            raise InvalidConfigError(
                "`rollout_buffer_class` and `rollout_buffer_kwargs` are not taken, as the memory is a part of this"
                " algorithm: for other advantages pass recipe=SB3_PPO.replace(advantages=...), for another memory set"
                " `model.rollout_buffer` to a subclass of custom_ppo.memory.TrajectoryMemory"
            )
        super().__init__(
            policy=policy,
            env=env,
            learning_rate=learning_rate,
            policy_kwargs=policy_kwargs,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device=device,
            support_multi_env=True,
            seed=seed,
            use_sde=use_sde,
            sde_sample_freq=sde_sample_freq,
            supported_action_spaces=(spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary),
        )
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.gamma = gamma
        self.gae_lambda = gae_lambda
        self.clip_range = clip_range
        self.clip_range_vf = clip_range_vf
        self.normalize_advantage = normalize_advantage
        self.ent_coef = ent_coef
        self.vf_coef = vf_coef
        self.max_grad_norm = max_grad_norm
        self.target_kl = target_kl
        self.recipe = named_recipe(recipe)
        self.beta = INITIAL_PENALTY
        self.engine = engine
        self._config()  # raises here, where a mistake is made, and not during training
        if self.env is not None:
            self._check_rollout_size(n_steps * self.env.num_envs)
        if _init_setup_model:
            self._setup_model()

    def _config(self) -> PPOConfig:
        """Return the hyperparameters as they are now: SB3's users change attributes of a model between updates."""
        return PPOConfig(**self._hyperparameters())

    def _hyperparameters(self) -> dict[str, Any]:
        """Return the arguments of PPOConfig as they are now."""
        return {
            "learning_rate": getattr(self, "lr_schedule", self.learning_rate),
            "n_steps": self.n_steps,
            "batch_size": self.batch_size,
            "n_epochs": self.n_epochs,
            "gamma": self.gamma,
            "gae_lambda": self.gae_lambda,
            "clip_range": self.clip_range,
            "clip_range_vf": self.clip_range_vf,
            "normalize_advantage": self.normalize_advantage,
            "ent_coef": self.ent_coef,
            "vf_coef": self.vf_coef,
            "max_grad_norm": self.max_grad_norm,
            "use_sde": self.use_sde,
            "sde_sample_freq": self.sde_sample_freq,
            "target_kl": self.target_kl,
        }

    def _check_rollout_size(self, rollout_size: int) -> None:
        if self.normalize_advantage and rollout_size <= 1:
            raise InvalidConfigError(
                f"`n_steps * n_envs` must be greater than 1 to normalise advantages, got n_steps={self.n_steps} "
                f"and n_envs={self.n_envs}"
            )
        if self.batch_size and rollout_size % self.batch_size > 0:
            warn_of_truncated_minibatch(self.n_steps, self.n_envs, self.batch_size, stacklevel=4)

    def _setup_model(self) -> None:
        # SB3's class of schedules, also for constants: callbacks call `model.clip_range(progress)`.
        self._setup_lr_schedule()
        self.clip_range = FloatSchedule(self.clip_range)
        if self.clip_range_vf is not None:
            self.clip_range_vf = FloatSchedule(self.clip_range_vf)
        # Before the networks are made: their first weights are the first draws of the seed.
        self.set_random_seed(self.seed)
        policy_class: Any = self.policy_class
        kwargs: dict[str, Any] = {"use_sde": self.use_sde, **self.policy_kwargs}
        if isinstance(policy_class, type) and issubclass(policy_class, MlpPolicy):  # SB3 also takes functions
            kwargs["recipe"] = self.recipe
        else:
            # A policy of the user makes its own weights and optimiser, so these two parts would be ignored silently.
            own = {"optimizer", "initialise"}.intersection(self.recipe.differs_in(SB3_PPO))
            if own:
                raise InvalidConfigError(
                    f"the recipe has its own {', '.join(sorted(own))}, but {policy_class.__name__} brings one with it; "
                    "use 'MlpPolicy'"
                )
        self.policy = policy_class(self.observation_space, self.action_space, self.lr_schedule, **kwargs)
        self.policy = self.policy.to(self.device)
        self.rollout_buffer: TrajectoryMemory = RolloutMemory(self)
        recipe = self.recipe
        # tanh bounds the samples already: they are scaled to the bounds, and not clipped, by SB3 too.
        if self.policy.squash_output:
            recipe = recipe.replace(env_action=rescaled_to_bounds)
        self.agent = SB3Agent(
            self.policy, self.policy.optimizer, self.rollout_buffer, self._config(), recipe, self.device
        )
        self.agent.engine = self.choose_engine()
        note = missing_kernels_note(self.engine, self.agent.engine)
        if note is not None and self.verbose >= 1:
            print_once(note)
        self._maybe_recommend_cpu()

    def _maybe_recommend_cpu(self, mlp_class_name: str = "MlpPolicy") -> None:
        """Warn, in SB3's words, if a network without convolutions is to be trained on a GPU."""
        name = self.policy_class.__name__
        if self.device != torch.device("cpu") and name in (mlp_class_name, "ActorCriticPolicy"):
            recommend_cpu(self.sb3_class.__name__, name, stacklevel=5)

    def refresh_agent(self) -> None:
        """Pass on what SB3's users exchange between two updates: hyperparameters, policy, optimiser, buffer."""
        agent, config = self.agent, vars(self.agent.config)
        # By identity, as 1, 1.0 and True are equal. Nothing has changed almost always, and a check takes long.
        if any(value is not config[name] for name, value in self._hyperparameters().items()):
            agent.config = self._config()
        agent.policy, agent.optimizer, agent.memory = self.policy, self.policy.optimizer, self.rollout_buffer
        agent.beta = self.beta

    def choose_engine(self) -> Engine:
        """Return the engine of the next update: the fused one where it gives autograd's bits, else autograd's.

        Called before every update, as hooks that only autograd calls may come and go.
        Raises InvalidConfigError if engine="fused" was asked for and is not possible.
        """
        agent = self.agent
        return make_engine(agent.policy, agent.optimizer, agent.recipe, self.engine, agent.engine)

    def engine_status(self) -> dict[str, Any]:
        """Return the engine of the last update and the state of the native one, as plain data for a record of a run.

        Keys: asked_for, used, note (a line for the user if the native engine is missed, else None), and kernels (see
        `custom_ppo.engines.native.status.kernel_status`).
        """
        return {
            "asked_for": self.engine,
            "used": engine_name(self.agent.engine),
            "note": missing_kernels_note(self.engine, self.agent.engine),
            "kernels": kernel_status(),
        }

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int | None = 1,
        tb_log_name: str = "PPO",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Train for at least total_timesteps environment steps, in whole rollouts, and return the model.

        callback: called at every step, may stop training; as in SB3.
        log_interval: rollouts between two dumps of the logger; None never dumps.
        A model that `resume` returned continues where its checkpoint was made.
        """
        total_timesteps, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        iteration = self._n_rollouts  # a local variable, as callbacks may read it
        callback.on_training_start(locals(), globals())
        self._continue_randomness()
        assert self.env is not None
        while self.num_timesteps < total_timesteps:
            if not self.collect_rollouts(self.env, callback, self.rollout_buffer, n_rollout_steps=self.n_steps):
                break
            iteration += 1
            self._n_rollouts = iteration
            # After the rollout: in the last update, a learning rate that falls to zero is zero, or even below if
            # total_timesteps ends within a rollout.
            self._update_current_progress_remaining(self.num_timesteps, total_timesteps)
            if log_interval is not None and iteration % log_interval == 0:
                self.dump_logs(iteration)  # before the update: its row holds the losses of the update before
            self.train()
            self._after_update()
        callback.on_training_end()
        return self

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: TrajectoryMemory, n_rollout_steps: int
    ) -> bool:
        """Act for n_rollout_steps in all environments and remember it; returns False if a callback stops training.

        Where the engine has an actor, `lean_rollout.collect` gives the same results in less time. The loop that this
        method contains is `rollout.interact`. Callbacks read the local variables, so all of SB3's are here, under their
        names and at the same moments; some have no other use.
        """
        agent = self.agent
        self.refresh_agent()
        agent.memory, agent.iteration = rollout_buffer, self._n_rollouts
        agent.start_rollout()
        callback.on_rollout_start()
        # After the callbacks, which may hook the policy: an actor would call no hook.
        agent.engine = self.choose_engine()
        actor = rollout_actor(self, rollout_buffer, n_rollout_steps)
        if actor is not None:
            return collect(self, actor, env, callback, rollout_buffer, n_rollout_steps)
        n_steps = 0  # not `enumerate`: callbacks see the steps before this one
        dones: NDArray[np.bool_] = np.zeros(env.num_envs, dtype=bool)
        assert self._last_obs is not None
        assert self._last_episode_starts is not None
        start = self._last_obs, self._last_episode_starts
        for transition in interact(agent, env, *start, n_steps=n_rollout_steps):
            # Of the steps before: `interact` bootstraps this one after the callbacks, as SB3 does.
            if agent.last_timeout is not None:
                terminal_obs, terminal_value = agent.last_timeout
            step, obs_tensor = transition.step, to_tensor(transition.observations, self.device)
            actions, clipped_actions = step.actions, step.env_actions
            values, log_probs = step.values, step.log_probs
            new_obs, rewards, dones, infos = (
                transition.next_observations,
                transition.rewards,
                transition.dones,
                transition.infos,
            )
            self.num_timesteps += env.num_envs  # before the callbacks, which count their intervals by it
            callback.update_locals(locals())
            if not callback.on_step():
                return False  # before the step is remembered; `_last_obs` stays the state in which it was made
            self._update_info_buffer(infos, dones)
            n_steps += 1  # noqa: SIM113
            if isinstance(self.action_space, spaces.Discrete):
                actions = actions.reshape(-1, 1)  # [N] -> [N, 1]; `on_rollout_end` finds it so
            idx, done = len(dones) - 1, dones[-1]
            # On the model: the next rollout, and a model that trains on, begin in the middle of these episodes.
            self._last_obs, self._last_episode_starts = new_obs, dones
        if agent.last_timeout is not None:
            terminal_obs, terminal_value = agent.last_timeout
        values = agent.finish_rollout(self._last_obs, dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """Update the policy and the critic on the current rollout, and log what happened."""
        self.refresh_agent()
        self.agent.engine = self.choose_engine()
        report = self.agent.update(self._current_progress_remaining)
        self.beta = self.agent.beta
        self._n_updates += report.n_epochs  # SB3 counts epochs, also one that was stopped, not gradient steps
        if report.stopped_early and self.verbose >= 1:
            print(  # noqa: T201  as SB3 does at this verbosity
                f"Early stopping at step {report.n_epochs - 1} due to reaching max kl: {report.approx_kls[-1]:.2f}"
            )
        self._log_update(report)

    def _log_update(self, report: UpdateReport) -> None:
        log_update(self, report)

    def dump_logs(self, iteration: int = 0) -> None:
        """Write one row of the logger: speed, and the mean return and length of the last episodes."""
        log_progress(self, iteration)
        self.logger.dump(step=self.num_timesteps)

    def _excluded_save_params(self) -> list[str]:
        # Made anew by `_setup_model`: it holds policy, optimiser and rollout once more.
        return [*super()._excluded_save_params(), "agent"]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "policy.optimizer"], []
