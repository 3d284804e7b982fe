"""Probes of SB3's PPO, A2C and their subclasses: the policy and the rollout buffer.

Methods are wrapped on the objects, not on the classes, so that a subclass's own versions are recorded as well.
"""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor

from harness.crosscheck.tracing.recorder import Recorder

__all__ = [
    "BATCH",
    "STORED",
    "MinibatchCounter",
    "probe_buffer",
    "probe_policy",
    "record_evaluation",
    "record_network_output",
    "record_stored",
]

BATCH = {
    "observations": "batch_observation",
    "actions": "batch_action",
    "old_values": "old_value",
    "old_log_prob": "old_log_prob",
    "advantages": "batch_advantage",
    "returns": "batch_return",
}
"""Field of a minibatch -> quantity."""

STORED = {
    "observations": "stored_observation",
    "actions": "stored_action",
    "rewards": "stored_reward",
    "episode_starts": "episode_start",
    "values": "stored_value",
    "log_probs": "stored_log_prob",
}
"""Array of a rollout buffer -> quantity."""


class _ReplacedOutput(torch.autograd.Function):
    """Replacement of a tensor's values that keeps the tensor's gradient."""

    @staticmethod
    def forward(ctx: Any, result: Tensor, values: Tensor) -> Tensor:
        """Return the values in the shape of the result."""
        return values.reshape(result.shape).to(result.dtype).clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient unchanged."""
        return gradient, None


def record_network_output(recorder: Recorder, quantity: str, result: Tensor) -> Tensor:
    """Record an output of the networks in an update; return the tensor that the run must use.

    In a fed run its values are replaced while its gradient still flows into the subject's own networks: the loss is
    then computed from right values, and a wrong derivative still changes the gradient.
    """
    values = recorder.record_minibatch(quantity, result)
    if recorder.fed_from is None:
        return result
    return _ReplacedOutput.apply(result, torch.as_tensor(values))  # type: ignore[no-untyped-call, no-any-return]


def record_evaluation(
    recorder: Recorder, values: Tensor, log_prob: Tensor, entropy: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Record the outputs of `evaluate_actions`; return those that the run must use. Entropy may be None."""
    return (
        record_network_output(recorder, "new_value", values),
        record_network_output(recorder, "new_log_prob", log_prob),
        None if entropy is None else record_network_output(recorder, "entropy", entropy),
    )


def probe_policy(policy: ActorCriticPolicy, recorder: Recorder) -> None:
    """Wrap `forward` and `evaluate_actions` of a policy, to record its outputs while acting and while learning."""
    forward, evaluate_actions = policy.forward, policy.evaluate_actions

    # The policy's own methods, not those of its networks: a subclass may change an output after the networks.
    def recorded_forward(obs: Any, *args: Any, **kwargs: Any) -> Any:
        states: list[Any]  # hidden states of a recurrent policy
        actions, values, log_probs, *states = forward(obs, *args, **kwargs)
        # The behaviour policy acts without gradients and on one observation per environment. Other calls are not
        # recorded: a subject may call the policy in its update, or on the final observation at a time limit.
        if torch.is_grad_enabled() or len(actions) != recorder.builder.n_envs:
            return actions, values, log_probs, *states
        recorder.record_upcoming("observation", obs)
        results = {"action": actions, "value": values, "log_prob": log_probs}
        arrays = [recorder.record_upcoming(quantity, result) for quantity, result in results.items()]
        if recorder.fed_from is None:
            return actions, values, log_probs, *states
        fed = (
            torch.as_tensor(array).reshape(result.shape).to(result.dtype)
            for array, result in zip(arrays, results.values(), strict=True)
        )
        return *fed, *states

    def recorded_evaluate_actions(obs: Any, actions: Tensor, *args: Any, **kwargs: Any) -> Any:
        values, log_prob, entropy = evaluate_actions(obs, actions, *args, **kwargs)
        if not torch.is_grad_enabled():  # a diagnostic, which enters no loss
            return values, log_prob, entropy
        # As the policy gets them: a subject may change a minibatch after it was drawn from the buffer.
        recorder.record_minibatch("batch_observation", obs)
        recorder.record_minibatch("batch_action", actions)
        return record_evaluation(recorder, values, log_prob, entropy)

    policy.forward = recorded_forward  # type: ignore[method-assign]
    policy.evaluate_actions = recorded_evaluate_actions  # type: ignore[method-assign]


class MinibatchCounter:
    """Counter that numbers the minibatches drawn from a buffer.

    Some implementations draw the next minibatch after the optimiser step on the last, others draw all of an update at
    once. Only with the former is it known that a minibatch got no optimiser step (skipped by target_kl, say): its
    number is then given to the next one.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.step = 0
        self.last = 0
        """Last number given since this step of the environments."""
        self.one_by_one = False

    def next(self) -> int:
        """Return the number of the minibatch that is drawn now, from 1."""
        if self.step != self.recorder.step:
            self.step, self.last = self.recorder.step, 0
        self.one_by_one = self.one_by_one or 0 < self.last <= self.recorder.n_minibatches
        self.last = self.recorder.minibatch if self.one_by_one else self.last + 1
        return self.last


def probe_buffer(buffer: RolloutBuffer, recorder: Recorder) -> None:
    """Wrap a rollout buffer, to record stored values, advantages and returns, and the minibatches drawn from it."""
    add, get_samples = buffer.add, buffer._get_samples
    compute = buffer.compute_returns_and_advantage
    counter = MinibatchCounter(recorder)

    def recorded_add(*args: Any, **kwargs: Any) -> None:
        position = buffer.pos
        add(*args, **kwargs)
        record_stored(buffer, position, recorder)

    def recorded_compute(last_values: Tensor, dones: Any) -> None:
        fed = recorder.record_step("last_value", last_values)
        if recorder.fed_from is not None:
            last_values = torch.as_tensor(fed).reshape(last_values.shape)
        compute(last_values, dones)
        # Recorded before `get` flattens the buffer in place: afterwards both are [N * T, 1].
        buffer.advantages = recorder.record_step("advantage", buffer.advantages)
        buffer.returns = recorder.record_step("return", buffer.returns)

    def recorded_get_samples(batch_inds: Any, *args: Any, **kwargs: Any) -> Any:
        number = counter.next()
        batch_inds = recorder.record_minibatch("minibatch", batch_inds, number)
        samples = get_samples(batch_inds, *args, **kwargs)
        changes = {}
        for name, quantity in BATCH.items():
            value = getattr(samples, name, None)
            if isinstance(value, Tensor):
                fed = recorder.record_minibatch(quantity, value, number)
                changes[name] = torch.as_tensor(fed).reshape(value.shape)
        return samples._replace(**changes) if recorder.fed_from is not None else samples

    buffer.add = recorded_add  # type: ignore[method-assign]
    buffer._get_samples = recorded_get_samples  # type: ignore[method-assign]
    buffer.compute_returns_and_advantage = recorded_compute  # type: ignore[method-assign]


def record_stored(buffer: Any, position: int, recorder: Recorder) -> None:
    """Record one row of a rollout buffer after it was written, and overwrite it in a fed run.

    Values are read back from the buffer, because a subject's buffer may change its arguments.
    """
    for name, quantity in STORED.items():
        rows = getattr(buffer, name)
        if isinstance(rows, dict):
            recorder.record_step(quantity, {key: array[position] for key, array in rows.items()})
        elif position < len(rows):
            rows[position] = recorder.record_step(quantity, rows[position])
