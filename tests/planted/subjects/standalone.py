"""A PPO in one file, as people write their own: PyTorch, NumPy and a vectorised environment, without SB3.

It trains to the same bits as SB3's PPO with an MlpPolicy, although hardly a line is the same: the rollout is kept in
tensors, the surrogate is a maximum of negated terms, and actor and critic are two modules. Only these modules and the
optimiser are visible from outside. Some lines are written for `standalone_bugs`, which replaces fragments of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.distributions import Bernoulli, Categorical, Normal
from torch.nn import functional

__all__ = ["StandalonePPO"]

Schedule = Callable[[float], float]


def layer(n_inputs: int, n_outputs: int) -> nn.Linear:
    """Return a layer with default weights; SB3 draws those of all layers before it initialises the first."""
    return nn.Linear(n_inputs, n_outputs)


def orthogonal(module: nn.Linear, gain: float) -> None:
    """Initialise weights orthogonally and biases with zeros, as OpenAI's baselines do."""
    nn.init.orthogonal_(module.weight, gain)
    nn.init.zeros_(module.bias)


class Silence:
    """A logger that writes nothing."""

    def record(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    def dump(self, *_: Any, **__: Any) -> None:
        """Do nothing."""


class Heads(nn.Module):
    """Action distributions from the actor's outputs and, for Box actions, a log standard deviation."""

    def __init__(self, space: spaces.Space[Any]) -> None:
        super().__init__()
        self.space = space
        self.log_std: nn.Parameter | None = None
        if isinstance(space, spaces.Box):
            self.n_outputs = int(np.prod(space.shape))
            self.log_std = nn.Parameter(torch.zeros(self.n_outputs))
        elif isinstance(space, spaces.Discrete):
            self.n_outputs = int(space.n)
        elif isinstance(space, spaces.MultiDiscrete):
            self.n_outputs = int(sum(space.nvec))
        elif isinstance(space, spaces.MultiBinary):
            self.n_outputs = int(space.n)
        else:
            raise TypeError(f"no policy for actions of {space}")

    def split(self, outputs: Tensor) -> list[Any]:
        """Return one distribution for each independent part of the action."""
        if self.log_std is not None:
            return [Normal(outputs, self.log_std.exp().expand_as(outputs))]
        if isinstance(self.space, spaces.MultiDiscrete):
            return [Categorical(logits=part) for part in outputs.split(self.space.nvec.tolist(), dim=1)]
        if isinstance(self.space, spaces.MultiBinary):
            return [Bernoulli(logits=outputs)]
        return [Categorical(logits=outputs)]

    def sample(self, outputs: Tensor) -> Tensor:
        """Return sampled actions: [N] for Discrete, else [N, A]."""
        parts = self.split(outputs)
        if isinstance(self.space, spaces.MultiDiscrete):
            return torch.stack([part.sample() for part in parts], dim=1)
        return parts[0].rsample() if self.log_std is not None else parts[0].sample()

    def mode(self, outputs: Tensor) -> Tensor:
        """Return the most likely actions, of the shape of `sample`."""
        parts = self.split(outputs)
        if self.log_std is not None:
            return outputs
        if isinstance(self.space, spaces.MultiBinary):
            return parts[0].probs.round()
        best = [part.probs.argmax(dim=1) for part in parts]
        return torch.stack(best, dim=1) if isinstance(self.space, spaces.MultiDiscrete) else best[0]

    def judge(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-probability of the actions and the entropy, each [B]."""
        parts = self.split(outputs)
        if isinstance(self.space, spaces.MultiDiscrete):
            log_probs = [part.log_prob(actions[:, i]) for i, part in enumerate(parts)]
            return torch.stack(log_probs, 1).sum(1), torch.stack([part.entropy() for part in parts], 1).sum(1)
        log_prob, entropy = parts[0].log_prob(actions), parts[0].entropy()
        if isinstance(self.space, spaces.Discrete):
            return log_prob, entropy
        return log_prob.sum(1), entropy.sum(1)


class StandalonePPO:
    """PPO with the arguments of SB3's, for flat observations and all four kinds of action spaces."""

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
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: str = "cpu",
    ) -> None:
        if policy != "MlpPolicy" or str(device) not in ("cpu", "auto"):
            raise ValueError(f"only MlpPolicy on the CPU, got {policy} on {device}")
        self.env = env
        self.learning_rate = self.schedule(learning_rate)
        self.clip_range = self.schedule(clip_range)
        self.clip_range_vf = None if clip_range_vf is None else self.schedule(clip_range_vf)
        self.n_steps, self.batch_size, self.n_epochs = n_steps, batch_size, n_epochs
        self.gamma, self.gae_lambda = gamma, gae_lambda
        self.normalize_advantage = normalize_advantage
        self.ent_coef, self.vf_coef = ent_coef, vf_coef
        self.max_grad_norm, self.target_kl = max_grad_norm, target_kl
        self.logger: Any = Silence()
        self.num_timesteps = 0
        self.observation: Any = None
        self.done: Any = None
        if seed is not None:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            torch.manual_seed(seed)
            env.seed(seed)
        self.make_networks(int(np.prod(env.observation_space.shape)))

    @staticmethod
    def schedule(value: float | Schedule) -> Schedule:
        """Return the schedule itself, or a constant one."""
        return value if callable(value) else lambda _: float(value)

    def make_networks(self, n_inputs: int) -> None:
        """Make heads, actor, critic and optimiser, drawing random numbers in SB3's order."""
        self.heads = Heads(self.env.action_space)
        actor_layers = [layer(n_inputs, 64), layer(64, 64)]
        critic_layers = [layer(n_inputs, 64), layer(64, 64)]
        actor_layers.append(layer(64, self.heads.n_outputs))
        critic_layers.append(layer(64, 1))
        for hidden in (*actor_layers[:2], *critic_layers[:2]):
            orthogonal(hidden, 2**0.5)
        orthogonal(actor_layers[2], 0.01)
        orthogonal(critic_layers[2], 1.0)
        activation = nn.Tanh
        self.actor = nn.Sequential(actor_layers[0], activation(), actor_layers[1], activation(), actor_layers[2])
        self.critic = nn.Sequential(critic_layers[0], activation(), critic_layers[1], activation(), critic_layers[2])
        self.optimizer = torch.optim.Adam(self.trained(), lr=self.learning_rate(1.0), eps=1e-5)

    def trained(self) -> list[nn.Parameter]:
        """Return the parameters in SB3's order, in which the norm of all gradients is summed."""
        hidden = [*self.actor[:-1].parameters(), *self.critic[:-1].parameters()]
        heads = [*self.actor[-1].parameters(), *self.critic[-1].parameters()]
        return [*self.heads.parameters(), *hidden, *heads]

    # Acting

    def values(self, observations: Any) -> Tensor:
        """Return V(s), [N]."""
        return self.critic(self.to_input(observations)).squeeze(1)

    def to_input(self, observations: Any) -> Tensor:
        """Return observations as float32 [N, inputs]."""
        return torch.as_tensor(observations).float().flatten(start_dim=1)

    def for_env(self, actions: Tensor) -> Any:
        """Return actions within the bounds of the environment."""
        space = self.env.action_space
        chosen = actions.numpy()
        return np.clip(chosen, space.low, space.high) if isinstance(space, spaces.Box) else chosen

    @torch.no_grad()
    def collect(self, callback: Any) -> bool:
        """Make n_steps in all environments; return False if the callback stops training."""
        memory: list[tuple[Tensor, ...]] = []
        callback.on_rollout_start()
        for _ in range(self.n_steps):
            seen = self.to_input(self.observation)
            outputs = self.actor(seen)
            value = self.values(self.observation)
            action = self.heads.sample(outputs)
            log_prob, _ = self.heads.judge(outputs, action)
            next_observation, reward, done, infos = self.env.step(self.for_env(action))
            self.num_timesteps += self.env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            reward = torch.as_tensor(reward)
            for i in np.flatnonzero(done):
                if infos[i].get("TimeLimit.truncated", False):
                    last = infos[i]["terminal_observation"]
                    reward[i] += self.gamma * self.values(last[None])[0]
            memory.append((seen, action, reward, torch.as_tensor(self.done).float(), value, log_prob))
            self.observation, self.done = next_observation, done
        last_value = self.values(self.observation)
        last_done = torch.as_tensor(self.done).float()
        self.rollout = [torch.stack(column) for column in zip(*memory, strict=True)]
        self.advantages, self.returns = self.estimate(last_value, last_done)
        callback.on_rollout_end()
        return True

    def estimate(self, last_value: Tensor, last_done: Tensor) -> tuple[Tensor, Tensor]:
        """Return GAE(lambda) advantages and returns, each [T, N]; arguments: [N], of the state after the last step."""
        _, _, rewards, starts, values, _ = self.rollout
        next_values = torch.cat([values[1:], last_value[None]])
        goes_on = 1.0 - torch.cat([starts[1:], last_done[None]])
        errors = rewards + self.gamma * next_values * goes_on - values
        advantages = torch.zeros_like(rewards)
        running = torch.zeros_like(last_value)
        for t in range(self.n_steps - 1, -1, -1):
            running = errors[t] + self.gamma * self.gae_lambda * goes_on[t] * running
            advantages[t] = running
        return advantages, advantages + values

    # Learning

    def learn(
        self,
        total_timesteps: int,
        callback: Any = None,
        log_interval: int | None = 1,
        tb_log_name: str = "PPO",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> StandalonePPO:
        """Train for at least this number of steps, in whole rollouts."""
        callback = NoCallback() if callback is None else callback
        if reset_num_timesteps or self.observation is None:
            self.num_timesteps = 0
            self.observation = self.env.reset()
            self.done = np.ones(self.env.num_envs, dtype=bool)
        else:
            total_timesteps += self.num_timesteps
        callback.init_callback(self)
        callback.on_training_start(locals(), globals())
        while self.num_timesteps < total_timesteps and self.collect(callback):
            self.update(1.0 - self.num_timesteps / total_timesteps)
        callback.on_training_end()
        return self

    def update(self, remaining: float) -> None:
        """Learn from the rollout for n_epochs in minibatches; remaining: progress, from 1 to 0."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(remaining)
        clip = self.clip_range(remaining)
        clip_vf = None if self.clip_range_vf is None else self.clip_range_vf(remaining)
        # Environment after environment: [T, N, ...] -> [N * T, ...]
        flat = [x.transpose(0, 1).flatten(0, 1) for x in (*self.rollout, self.advantages, self.returns)]
        n = len(flat[0])
        for _ in range(self.n_epochs):
            order = np.random.permutation(n)  # noqa: NPY002
            for start in range(0, n, self.batch_size):
                chosen = torch.as_tensor(order[start : start + self.batch_size])
                if not self.learn_from([x[chosen] for x in flat], clip, clip_vf):
                    return

    def learn_from(self, batch: list[Tensor], clip: float, clip_vf: float | None) -> bool:
        """Make one step of the optimiser; return False without a step if KL exceeds 1.5 * target_kl."""
        seen, action, _, _, old_value, old_log_prob, advantage, target = batch
        log_prob, entropy = self.heads.judge(self.actor(seen), action)
        value = self.critic(seen).squeeze(1)
        if self.normalize_advantage and len(advantage) > 1:
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        log_ratio = log_prob - old_log_prob
        ratio = log_ratio.exp()
        policy_loss = torch.max(-advantage * ratio, -advantage * ratio.clamp(1 - clip, 1 + clip)).mean()
        if clip_vf is not None:
            value = old_value + (value - old_value).clamp(-clip_vf, clip_vf)
        value_loss = functional.mse_loss(value, target)
        loss = policy_loss - self.ent_coef * entropy.mean() + self.vf_coef * value_loss
        with torch.no_grad():
            kl = ((log_ratio.exp() - 1) - log_ratio).mean()
        if self.target_kl is not None and kl > 1.5 * self.target_kl:
            return False
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained(), self.max_grad_norm)
        self.optimizer.step()
        return True

    # The rest of SB3's interface

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """Return actions for one observation or several, and the state unchanged."""
        observation = np.asarray(observation)
        one = observation.shape == self.env.observation_space.shape
        with torch.no_grad():
            outputs = self.actor(self.to_input(observation[None] if one else observation))
            action = self.for_env(self.heads.mode(outputs) if deterministic else self.heads.sample(outputs))
        return (action[0] if one else action), state

    def save(self, path: Any) -> None:
        """Save the weights."""
        torch.save([self.heads.state_dict(), self.actor.state_dict(), self.critic.state_dict()], path)

    def get_env(self) -> Any:
        """Return the vectorised environment, for callbacks."""
        return self.env

    def set_logger(self, logger: Any) -> None:
        """Set the logger, any object with a `record` method."""
        self.logger = logger


class NoCallback:
    """A callback that does nothing."""

    def init_callback(self, model: Any) -> None: ...
    def on_training_start(self, *_: Any) -> None: ...
    def on_rollout_start(self) -> None: ...
    def update_locals(self, *_: Any) -> None: ...
    def on_rollout_end(self) -> None: ...
    def on_training_end(self) -> None: ...

    def on_step(self) -> bool:
        return True
