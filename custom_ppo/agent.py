"""PPO: act -> remember -> estimate advantages -> update (Schulman et al. 2017, arXiv 1707.06347, algorithm 1).

    agent.start_rollout()
    for transition in interact(agent, env, ...):    # rollout.py: act, step, bootstrap at time limits, remember
        ...
    agent.finish_rollout(observations, dones)       # A_t by gae.py (Schulman et al. 2016, eq. 16)
    report = agent.update(progress_remaining)       # several epochs of minibatches: eq. 7 or 8, and 9

`minimal.py` is a whole training script.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from custom_ppo.config import INITIAL_PENALTY, PPOConfig
from custom_ppo.diagnostics import check_loss, check_rollout, explain_failed_act
from custom_ppo.engines.autograd import AutogradEngine
from custom_ppo.engines.engine import Engine, UpdateReport
from custom_ppo.memory import Batch, Observation, TensorObservation, TrajectoryMemory
from custom_ppo.networks import Policy, set_training_mode
from custom_ppo.recipe import Recipe, same_penalty

__all__ = ["PPOAgent", "Step", "UpdateReport", "to_tensor", "unobserved"]


@dataclass(frozen=True)
class Step:
    """Actions in N environments, with the numbers that must be remembered of them."""

    actions: NDArray[Any]
    """Sampled actions [N, ...], which are remembered."""
    env_actions: NDArray[Any]
    """Actions [N, ...] for the environments, within their bounds."""
    values: Tensor
    """V(s), [N, 1]"""
    log_probs: Tensor
    """log pi(a|s) of the sampled actions, [N]"""


Observer = Callable[[Literal["gradient", "step"]], None]
"""Called with "gradient" when the parameters hold the gradient of a minibatch, before it is clipped, and with "step"
when they have moved and hold the clipped gradient."""


def unobserved(stage: Literal["gradient", "step"]) -> None:
    """Do nothing: the observer of an agent that is not watched."""


class PPOAgent:
    """Agent that learns by PPO; the environments are outside, see `rollout.interact`.

    Every step of the algorithm is a public method, which may be wrapped on one object to watch or to change it: `act`,
    `remember`, `timeout_reward`, `finish_rollout`, `update`, `learn_from`, `check_loss`. Formulas are parts of the
    `recipe`, numbers are fields of `config`, and the `engine` descends the loss. `observer` is called twice for every
    minibatch: when there is a gradient, and when the weights have moved.
    """

    def __init__(
        self,
        policy: Policy,
        optimizer: torch.optim.Optimizer,
        memory: TrajectoryMemory,
        config: PPOConfig,
        recipe: Recipe,
        device: torch.device,
    ) -> None:
        self.policy = policy
        self.optimizer = optimizer
        self.memory = memory
        self.config = config
        self.recipe = recipe
        self.device = device
        self.beta = INITIAL_PENALTY
        self.engine: Engine = AutogradEngine(policy, optimizer, recipe)
        self.observer: Observer = unobserved
        self.iteration = 0
        """Number of rollouts that were started, for messages."""

    # act

    def start_rollout(self) -> None:
        """Forget the last rollout; with gSDE, draw new exploration noise."""
        self.iteration += 1
        _set_mode(self.policy, False)  # dropout and batch normalisation act in evaluation mode, as in SB3
        self.memory.reset()
        if self.config.use_sde:
            self.policy.reset_noise(self.memory.n_envs)

    @torch.no_grad()  # log pi_old(a|s) and V_old(s) are constants of the update: its ratio starts at 1
    def act(self, observations: Observation) -> Step:
        """Sample actions in N states [N, ...].

        Raises TrainingDivergedError if none can be drawn because an observation or a weight is not finite.
        """
        config = self.config
        # Noise of gSDE is kept for some steps, or for the whole rollout: this makes exploration smooth in time.
        # At step 0 it is drawn a second time, after `start_rollout`, as in SB3: one draw less would shift the stream.
        if config.use_sde and config.sde_sample_freq > 0 and self.memory.position % config.sde_sample_freq == 0:
            self.policy.reset_noise(self.memory.n_envs)
        try:
            action_tensor, values, log_probs = self.policy(to_tensor(observations, self.device))
        except (RuntimeError, ValueError) as error:  # both are how PyTorch refuses to sample from NaN
            diverged = explain_failed_act(
                observations, self.policy.parameters(), iteration=self.iteration, memory=self.memory
            )
            if diverged is not None:
                raise diverged from error
            raise
        actions = action_tensor.cpu().numpy()
        # Sampled and environment's actions both: a ratio with the log-probability of a clipped action is biased.
        return Step(actions, self.recipe.env_action(actions, self.memory.action_space), values, log_probs)

    # remember

    def remember(
        self, observations: Observation, step: Step, rewards: NDArray[Any], episode_starts: NDArray[np.bool_]
    ) -> None:
        """Store one step: observations s, sampled actions a (step) and rewards r.

        episode_starts: [N], True where s is the first state of an episode.
        """
        self.memory.add(observations, step.actions, rewards, episode_starts, step.values, step.log_probs)

    @torch.no_grad()
    def value(self, observations: TensorObservation) -> Tensor:
        """Return V(s) of observations [N, ...] as [N, 1]."""
        return self.policy.predict_values(observations)

    def terminal_value(self, observation: Any) -> Tensor:
        """Return V(s), [1], of the state in which a time limit cut an episode.

        observation: as one environment returned it, so without an axis for the environments.
        """
        one = {key: value[None] for key, value in observation.items()} if isinstance(observation, dict) else None
        return self.value(to_tensor(one or np.asarray(observation)[None], self.device))[0]  # [1, 1] -> [1]

    def timeout_reward(self, reward: float, terminal_value: Tensor) -> Any:
        """Return the reward to remember for a step at which a time limit cut the episode in a state of this value."""
        return self.recipe.timeout_reward(reward, terminal_value, self.config.gamma)

    def finish_rollout(self, last_observations: Observation, dones: NDArray[np.bool_]) -> Tensor:
        """Estimate the advantages of a full memory, and return the values of the last observations, [N, 1].

        last_observations, dones: [N, ...] and [N], as the last step returned them.
        Raises TrainingDivergedError if a number of the rollout is not finite.
        """
        # A rollout ends in the middle of episodes: V stands for the rest of them, unless the last step was a done.
        last_values = self.value(to_tensor(last_observations, self.device))
        self.estimate_advantages(last_values.cpu().numpy().flatten(), dones)  # [N, 1] -> [N]
        return last_values

    def estimate_advantages(
        self,
        last_values: NDArray[np.float32],
        dones: NDArray[np.bool_],
        estimate: Callable[..., tuple[NDArray[np.float32], NDArray[np.float32]]] | None = None,
    ) -> None:
        """Write advantages and returns into a full memory; last_values, dones: [N], of the state after the last step.

        estimate: a faster function with the results of the recipe's `advantages`.
        Raises TrainingDivergedError if a number of the rollout is not finite.
        """
        memory = self.memory
        memory.advantages, memory.returns = (estimate or self.recipe.advantages)(
            memory.rewards,
            memory.values,
            memory.episode_starts,
            last_values,
            dones,
            gamma=self.config.gamma,
            gae_lambda=self.config.gae_lambda,
        )
        check_rollout(memory, iteration=self.iteration)

    # update

    def update(self, progress_remaining: float) -> UpdateReport:
        """Improve the policy and the critic on the rollout, in several epochs of minibatches.

        progress_remaining: from 1 at the start of training to 0 at its end, for the schedules.
        Raises TrainingDivergedError if a loss is not finite, before it changes the weights.
        """
        config = self.config.at(progress_remaining, beta=self.beta)
        report = UpdateReport(config)
        for group in self.optimizer.param_groups:  # the rate that it was made with is only its first
            group["lr"] = config.learning_rate
        _set_mode(self.policy, True)
        self.engine.start()
        try:
            # Flattened once: all epochs use the advantages of the old critic, as in algorithm 1 of the paper.
            self.learn_from(self.memory.flatten(self.device), report)
        finally:
            self.engine.finish()
        if self.recipe.adapt_penalty is not same_penalty:
            self.beta = self.recipe.adapt_penalty(self.beta, float(np.mean(report.approx_kls)), config.target_kl)
        return report

    def learn_from(self, batch: Batch, report: UpdateReport) -> None:
        """Descend the loss of one minibatch after the other, until the epochs or the trust region are used up.

        batch: the rollout; report: holds the numbers of the update, and records those of every minibatch.
        """
        for _ in range(report.config.n_epochs):
            report.n_epochs += 1
            report.approx_kls = []  # those of the last epoch are logged, and adapt beta
            # A new order in every epoch; it is drawn even if one minibatch holds all, as SB3's buffer draws it.
            self.learn_epoch(batch, self.recipe.minibatch_order(len(batch)), report)
            # The whole update ends, and not this epoch alone. That is SB3's (PPO.train); the paper has no such stop.
            if report.stopped_early:
                return

    def learn_epoch(self, batch: Batch, order: NDArray[np.int64], report: UpdateReport) -> None:
        """Descend the loss of the transitions in this order, minibatch by minibatch."""
        config = report.config
        # Compiled kernels make the whole epoch in one call, unless somebody watches the minibatches.
        if self.observer is unobserved and self.engine.learn_epoch(batch, order, report):
            self.check_loss(report)
            return
        for minibatch in batch.minibatches(config.batch_size, order):
            terms = self.engine.forward(minibatch, config)
            report.record(terms)
            self.check_loss(report)  # before `backward`: one step by a NaN would destroy all weights
            # Before the step, so that the step which would leave the trust region is never made.
            if config.target_kl is not None and self.recipe.stop_early(report.approx_kls[-1], config.target_kl):
                report.stopped_early = True
                return
            self.engine.backward(terms, config)
            self.observer("gradient")
            self.engine.descend(config)
            self.observer("step")

    def check_loss(self, report: UpdateReport) -> None:
        """Raise TrainingDivergedError unless the loss of the last minibatch is finite."""
        if math.isfinite(report.loss):  # before the texts of an error are made
            return
        check_loss(
            report.loss,
            f"policy {report.policy_losses[-1]}, value {report.value_losses[-1]}, entropy {report.entropy_losses[-1]}",
            where=f"iteration {self.iteration}, epoch {report.n_epochs}, minibatch {len(report.approx_kls)}",
        )


def _set_mode(policy: Policy, training: bool) -> None:
    if isinstance(policy, nn.Module):
        set_training_mode(policy, training)
    else:
        policy.train(training)


def to_tensor(observations: Observation, device: torch.device) -> TensorObservation:
    """Return observations as tensors of their own type, on the CPU without a copy."""
    if isinstance(observations, dict):
        return {key: torch.as_tensor(value, device=device) for key, value in observations.items()}
    return torch.as_tensor(observations, device=device)
