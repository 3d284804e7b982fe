"""SB3's PPO and A2C, and whoever extends them, seen through what they own: policy, rollout buffer, optimiser.

Methods are wrapped on the objects, so a subclass's own versions of them are seen at work as well.
"""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor

from harness.crosscheck.tracing.recorder import Recorder

__all__ = ["Numbering", "Replaced", "watch_buffer", "watch_policy"]

BATCH = {
    "observations": "batch_observation",
    "actions": "batch_action",
    "old_values": "old_value",
    "old_log_prob": "old_log_prob",
    "advantages": "batch_advantage",
    "returns": "batch_return",
}
STORED = {
    "observations": "stored_observation",
    "actions": "stored_action",
    "rewards": "stored_reward",
    "episode_starts": "episode_start",
    "values": "stored_value",
    "log_probs": "stored_log_prob",
}


class Replaced(torch.autograd.Function):
    """Other numbers in the place of a result; the gradient flows on as if they were its own."""

    @staticmethod
    def forward(ctx: Any, result: Tensor, numbers: Tensor) -> Tensor:
        """The numbers, in the shape of the result."""
        return numbers.reshape(result.shape).to(result.dtype).clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The gradient as it comes."""
        return gradient, None


def replaced(recorder: Recorder, result: Tensor, numbers: Any) -> Tensor:
    """The result itself, or, in a fed run, other numbers in its place."""
    if recorder.feed is None:
        return result
    return Replaced.apply(result, torch.as_tensor(numbers))  # type: ignore[no-untyped-call, no-any-return]


def watch_policy(policy: ActorCriticPolicy, recorder: Recorder) -> None:
    """See what it says while acting and while learning."""
    forward, evaluate_actions = policy.forward, policy.evaluate_actions

    def seen_forward(obs: Any, *args: Any, **kwargs: Any) -> Any:
        states: list[Any]  # of a recurrent policy
        actions, values, log_probs, *states = forward(obs, *args, **kwargs)
        if torch.is_grad_enabled() or len(actions) != recorder.trace.n_envs:
            return actions, values, log_probs, *states
        recorder.acts("observation", obs)
        results = {"action": actions, "value": values, "log_prob": log_probs}
        numbers = [recorder.acts(quantity, result) for quantity, result in results.items()]
        if recorder.feed is None:
            return actions, values, log_probs, *states
        fed = (
            torch.as_tensor(array).reshape(result.shape).to(result.dtype)
            for array, result in zip(numbers, results.values(), strict=True)
        )
        return *fed, *states

    def seen_evaluate_actions(obs: Any, actions: Tensor, *args: Any, **kwargs: Any) -> Any:
        values, log_prob, entropy = evaluate_actions(obs, actions, *args, **kwargs)
        if not torch.is_grad_enabled():  # a look in passing, not what is learnt from
            return values, log_prob, entropy
        recorder.learns("batch_observation", obs)
        recorder.learns("batch_action", actions)
        values = replaced(recorder, values, recorder.learns("new_value", values))
        log_prob = replaced(recorder, log_prob, recorder.learns("new_log_prob", log_prob))
        if entropy is not None:
            entropy = replaced(recorder, entropy, recorder.learns("entropy", entropy))
        return values, log_prob, entropy

    policy.forward = seen_forward  # type: ignore[method-assign]
    policy.evaluate_actions = seen_evaluate_actions  # type: ignore[method-assign]


class Numbering:
    """Which minibatch it is that a buffer hands out.

    Some ask for the next one when they have learnt from the last, others for all of an update at once. Only of the
    former it is known that a minibatch they made no step with will not come to be learnt from.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.step = 0
        self.given = 0
        """The last number, of those since this step of the environments."""
        self.one_by_one = False

    def next(self) -> int:
        """The number of the minibatch that is asked for now, from 1."""
        if self.step != self.recorder.step:
            self.step, self.given = self.recorder.step, 0
        self.one_by_one = self.one_by_one or 0 < self.given <= self.recorder.n_minibatches
        self.given = self.recorder.minibatch if self.one_by_one else self.given + 1
        return self.given


def watch_buffer(buffer: RolloutBuffer, recorder: Recorder) -> None:
    """See what is remembered, what is made of it, and which transitions a minibatch holds."""
    add, get_samples = buffer.add, buffer._get_samples
    compute = buffer.compute_returns_and_advantage
    numbering = Numbering(recorder)

    def seen_add(*args: Any, **kwargs: Any) -> None:
        position = buffer.pos
        add(*args, **kwargs)
        for name, quantity in STORED.items():
            row = getattr(buffer, name)
            if isinstance(row, dict):
                recorder.saw(quantity, {key: array[position] for key, array in row.items()})
            elif position < len(row):
                row[position] = recorder.saw(quantity, row[position])

    def seen_compute(last_values: Tensor, dones: Any) -> None:
        fed = recorder.saw("last_value", last_values)
        if recorder.feed is not None:
            last_values = torch.as_tensor(fed).reshape(last_values.shape)
        compute(last_values, dones)
        buffer.advantages = recorder.saw("advantage", buffer.advantages)
        buffer.returns = recorder.saw("return", buffer.returns)

    def seen_samples(batch_inds: Any, *args: Any, **kwargs: Any) -> Any:
        number = numbering.next()
        batch_inds = recorder.learns("minibatch", batch_inds, number)
        samples = get_samples(batch_inds, *args, **kwargs)
        changes = {}
        for name, quantity in BATCH.items():
            value = getattr(samples, name, None)
            if isinstance(value, Tensor):
                changes[name] = torch.as_tensor(recorder.learns(quantity, value, number)).reshape(value.shape)
        return samples._replace(**changes) if recorder.feed is not None else samples

    buffer.add = seen_add  # type: ignore[method-assign]
    buffer._get_samples = seen_samples  # type: ignore[method-assign]
    buffer.compute_returns_and_advantage = seen_compute  # type: ignore[method-assign]
