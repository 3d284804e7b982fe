"""A PPO with the habits of widely copied single-file implementations, under SB3's argument names.

It is not a copy of one of them. Their habits: the critic is made first, every layer is initialised when it is made, a
time limit ends the episode, the rollout is flattened step by step, one index array is shuffled in place, the value loss
is half of the larger of two squared errors and is clipped by the policy's clip range, schedules are evaluated at the
progress at the beginning of an iteration, and KL is compared with target_kl after an epoch.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.distributions import Categorical, Normal

__all__ = ["CleanRLStylePPO"]

Schedule = Callable[[float], float]


def layer_init(layer: nn.Linear, std: float = 2**0.5, bias: float = 0.0) -> nn.Linear:
    """Initialise a layer with orthogonal weights of this gain and a constant bias, and return it."""
    nn.init.orthogonal_(layer.weight, std)
    nn.init.constant_(layer.bias, bias)
    return layer


class Agent(nn.Module):
    """Actor and critic for flat observations and Discrete, MultiDiscrete or Box actions."""

    def __init__(self, envs: Any) -> None:
        super().__init__()
        self.space = envs.action_space
        n_inputs = int(np.prod(envs.observation_space.shape))
        if isinstance(self.space, spaces.Box):
            n_outputs = int(np.prod(self.space.shape))
        else:
            n_outputs = int(np.sum(getattr(self.space, "nvec", getattr(self.space, "n", 0))))
        self.critic = nn.Sequential(
            layer_init(nn.Linear(n_inputs, 64)),
            nn.Tanh(),
            layer_init(nn.Linear(64, 64)),
            nn.Tanh(),
            layer_init(nn.Linear(64, 1), std=1.0),
        )
        self.actor = nn.Sequential(
            layer_init(nn.Linear(n_inputs, 64)),
            nn.Tanh(),
            layer_init(nn.Linear(64, 64)),
            nn.Tanh(),
            layer_init(nn.Linear(64, n_outputs), std=0.01),
        )
        if isinstance(self.space, spaces.Box):
            self.actor_logstd = nn.Parameter(torch.zeros(1, n_outputs))

    def get_value(self, obs: Tensor) -> Tensor:
        """Return V(s), [N, 1]."""
        return self.critic(obs)

    def get_action_and_value(self, obs: Tensor, action: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return actions, sampled if none are given, with log-probability [N], entropy [N] and value [N, 1]."""
        out = self.actor(obs)
        if isinstance(self.space, spaces.Box):
            normal = Normal(out, torch.exp(self.actor_logstd.expand_as(out)))
            action = normal.sample() if action is None else action
            return action, normal.log_prob(action).sum(1), normal.entropy().sum(1), self.critic(obs)
        sizes = self.space.nvec.tolist() if isinstance(self.space, spaces.MultiDiscrete) else [out.shape[1]]
        choices = [Categorical(logits=part) for part in torch.split(out, sizes, dim=1)]
        sample = [choice.sample() for choice in choices] if action is None else action.view(len(out), -1).unbind(1)
        action = torch.stack(list(sample))
        log_prob = torch.stack([choice.log_prob(a) for a, choice in zip(action, choices, strict=True)])
        entropy = torch.stack([choice.entropy() for choice in choices])
        action = action.T if isinstance(self.space, spaces.MultiDiscrete) else action.T.flatten()
        return action, log_prob.sum(0), entropy.sum(0), self.critic(obs)


class CleanRLStylePPO:
    """PPO with the arguments of SB3's; the value loss is clipped by clip_range if clip_range_vf is given."""

    def __init__(
        self,
        policy: str,
        env: Any,
        learning_rate: float | Schedule = 3e-4,
        n_steps: int = 2048,
        batch_size: int = 64,
        n_epochs: int = 10,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        clip_range: float | Schedule = 0.2,
        clip_range_vf: float | Schedule | None = None,
        normalize_advantage: bool = True,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        target_kl: float | None = None,
        seed: int | None = None,
        device: str = "cpu",
        verbose: int = 0,
    ) -> None:
        if policy != "MlpPolicy" or str(device) not in ("cpu", "auto"):
            raise ValueError(f"only MlpPolicy on the CPU, got {policy} on {device}")
        self.env = env
        self.learning_rate, self.clip_range = learning_rate, clip_range
        self.clip_vloss = clip_range_vf is not None
        self.n_steps, self.batch_size, self.n_epochs = n_steps, batch_size, n_epochs
        self.gamma, self.gae_lambda, self.norm_adv = gamma, gae_lambda, normalize_advantage
        self.ent_coef, self.vf_coef = ent_coef, vf_coef
        self.max_grad_norm, self.target_kl = max_grad_norm, target_kl
        self.num_timesteps = 0
        self.logger: Any = None
        if seed is not None:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            torch.manual_seed(seed)
            env.seed(seed)
        self.agent = Agent(env)
        self.optimizer = torch.optim.Adam(self.agent.parameters(), lr=now(learning_rate, 1.0), eps=1e-5)

    def learn(self, total_timesteps: int, callback: Any = None, **_: Any) -> CleanRLStylePPO:
        """Train in whole rollouts, and call the callback at every step."""
        n_envs = self.env.num_envs
        num_iterations = -(-total_timesteps // (self.n_steps * n_envs))
        if callback is not None:
            callback.init_callback(self)
            callback.on_training_start(locals(), globals())
        next_obs = torch.as_tensor(self.env.reset()).float().flatten(1)
        next_done = torch.zeros(n_envs)
        for iteration in range(1, num_iterations + 1):
            frac = 1.0 - (iteration - 1.0) / num_iterations
            self.optimizer.param_groups[0]["lr"] = now(self.learning_rate, frac)
            if callback is not None:
                callback.on_rollout_start()
            obs = torch.zeros(self.n_steps, *next_obs.shape)
            stored: list[list[Tensor]] = [[] for _ in range(5)]
            for step in range(self.n_steps):
                self.num_timesteps += n_envs
                obs[step] = next_obs
                with torch.no_grad():
                    action, logprob, _entropy, value = self.agent.get_action_and_value(next_obs)
                step_obs, reward, done, _infos = self.env.step(self.clipped(action))
                row = (action, logprob, torch.as_tensor(reward), next_done, value.flatten())
                for column, item in zip(stored, row, strict=True):
                    column.append(item)
                next_obs = torch.as_tensor(step_obs).float().flatten(1)
                next_done = torch.as_tensor(done).float()
                if callback is not None:
                    callback.update_locals(locals())
                    if not callback.on_step():
                        return self
            if callback is not None:
                callback.on_rollout_end()
            columns = [torch.stack(column) for column in stored]
            self.update(obs, columns, next_obs, next_done, now(self.clip_range, frac))
        if callback is not None:
            callback.on_training_end()
        return self

    def clipped(self, action: Tensor) -> Any:
        """Return actions within the bounds of the environment, as a wrapper would pass them on."""
        space = self.env.action_space
        chosen = action.numpy()
        return np.clip(chosen, space.low, space.high) if isinstance(space, spaces.Box) else chosen

    def update(self, obs: Tensor, columns: list[Tensor], next_obs: Tensor, next_done: Tensor, clip_coef: float) -> None:
        """Compute advantages and learn from the rollout; columns: [T, N] each, next_*: state after the last step."""
        actions, logprobs, rewards, dones, values = columns
        with torch.no_grad():
            next_value = self.agent.get_value(next_obs).reshape(1, -1)
            advantages = torch.zeros_like(rewards)
            lastgaelam: Any = 0
            for t in reversed(range(self.n_steps)):
                if t == self.n_steps - 1:
                    nextnonterminal = 1.0 - next_done
                    nextvalues = next_value
                else:
                    nextnonterminal = 1.0 - dones[t + 1]
                    nextvalues = values[t + 1]
                delta = rewards[t] + self.gamma * nextvalues * nextnonterminal - values[t]
                lastgaelam = delta + self.gamma * self.gae_lambda * nextnonterminal * lastgaelam
                advantages[t] = lastgaelam
            returns = advantages + values
        # [T, N, ...] -> [T * N, ...]
        batch = [x.flatten(0, 1) for x in (obs, actions, logprobs, advantages, returns, values)]
        inds = np.arange(len(batch[0]))
        for _ in range(self.n_epochs):
            np.random.shuffle(inds)  # noqa: NPY002
            for start in range(0, len(inds), self.batch_size):
                kl = self.step([x[inds[start : start + self.batch_size]] for x in batch], clip_coef)
            if self.target_kl is not None and kl > self.target_kl:
                break

    def step(self, minibatch: list[Tensor], clip_coef: float) -> Tensor:
        """Learn from one minibatch, and return the estimate of KL."""
        obs, actions, logprobs, advantages, returns, values = minibatch
        _, newlogprob, entropy, newvalue = self.agent.get_action_and_value(obs, actions)
        logratio = newlogprob - logprobs
        ratio = logratio.exp()
        with torch.no_grad():
            kl = ((ratio - 1) - logratio).mean()
        if self.norm_adv:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        pg_loss1 = -advantages * ratio
        pg_loss2 = -advantages * torch.clamp(ratio, 1 - clip_coef, 1 + clip_coef)
        pg_loss = torch.max(pg_loss1, pg_loss2).mean()
        newvalue = newvalue.view(-1)
        v_loss = (newvalue - returns) ** 2
        if self.clip_vloss:
            v_clipped = values + torch.clamp(newvalue - values, -clip_coef, clip_coef)
            v_loss = torch.max(v_loss, (v_clipped - returns) ** 2)
        loss = pg_loss - self.ent_coef * entropy.mean() + 0.5 * v_loss.mean() * self.vf_coef
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.agent.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return kl

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """Return sampled actions and the state unchanged; `deterministic` is ignored."""
        observation = np.asarray(observation)
        one = observation.shape == self.env.observation_space.shape
        with torch.no_grad():
            obs = torch.as_tensor(observation[None] if one else observation).float().flatten(1)
            action = self.clipped(self.agent.get_action_and_value(obs)[0])
        return (action[0] if one else action), state

    def save(self, path: Any) -> None:
        """Save the weights."""
        torch.save(self.agent.state_dict(), path)

    def get_env(self) -> Any:
        """Return the vectorised environment, for callbacks."""
        return self.env

    def set_logger(self, logger: Any) -> None:
        """Set the logger for callbacks; nothing is logged."""
        self.logger = logger


def now(value: float | Schedule, remaining: float) -> float:
    """Return a constant, or a schedule's value at the remaining progress."""
    return value(remaining) if callable(value) else value
