"""Comparison of the compiled kernels with autograd, to the bit, before they are used for the first time.

The kernels reproduce the order of PyTorch's additions, which depends on its version, on the processor and on the
shapes. So for every class of shapes, two steps of an update and one step of acting are made by both, and the kernels
are used only where every bit is equal.
"""

from __future__ import annotations

import copy
import dataclasses
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from custom_ppo.config import UpdateConfig
from custom_ppo.engines.autograd import AutogradEngine
from custom_ppo.engines.features import to_tensors
from custom_ppo.engines.native.learner import TERMS, Learner, Transitions
from custom_ppo.memory import Batch, Observation, TrajectoryMemory

if TYPE_CHECKING:
    from custom_ppo.engines.native.actor import NativeActor

__all__ = ["acting_agrees", "results", "update_agrees"]

results: dict[tuple[Any, ...], bool] = {}
"""Class of shapes -> True if the kernels gave autograd's bits; filled in the course of this process."""


def update_agrees(learner: Learner, batch: Batch, transitions: Transitions, config: UpdateConfig, n: int) -> bool:
    """Return True if the kernels make the step of a minibatch of n transitions to autograd's bits.

    Compared once for each class of shapes; parameters and optimiser are as before afterwards.
    """
    key = ("update", n, torch.get_num_threads(), *learner.shape_class(config))
    if key not in results:
        same = _same_step(learner, batch, transitions, config, n)
        if same is None:
            return False
        results[key] = same
        if not same:
            _warn(f"the update of a minibatch of {n}")
    return results[key]


def acting_agrees(actor: NativeActor) -> bool:
    """Return True if the kernels act in N states to the bits of the policy, with the same random numbers.

    Compared once for each class of shapes; the random generator is as before afterwards. False, without a comparison,
    if a weight is not finite: the policy itself then raises the error that says so.
    """
    learner = actor.learner
    if not learner.flat.values.isfinite().all():
        return False
    key = ("act", actor.n_envs, torch.get_num_threads(), *learner.architecture)
    if key not in results:
        # Again, as another thread may have drawn random numbers in between.
        results[key] = any(_same_actions(actor) for _ in range(_N_ATTEMPTS))
        if not results[key]:
            _warn(f"acting in {actor.n_envs} states")
    return results[key]


_N_ATTEMPTS = 3
_N_DRAWS = 8
"""Number of times that actions are drawn for a comparison: one alone may be equal by chance."""


@torch.no_grad()
def _same_actions(actor: NativeActor) -> bool:
    policy: Any = actor.policy
    memory = TrajectoryMemory(1, actor.n_envs, policy.observation_space, policy.action_space)
    observed = _any_observations(policy.observation_space, memory.observations)
    observations = to_tensors(observed)
    values_before, before = actor.learner.flat.values.clone(), torch.get_rng_state()
    try:
        _disturb(actor.learner)
        expected = [policy(observations) for _ in range(_N_DRAWS)]
        state = torch.get_rng_state()
        torch.set_rng_state(before)
        actor.begin(memory)
        for actions, values, log_prob in expected:
            found = actor.act(0, observed)
            equal = _equal(found, actions.reshape(found.shape))
            equal = equal and _equal(memory.values[0], values.flatten()) and _equal(memory.log_probs[0], log_prob)
            if not equal:
                return False
        same_draws = torch.equal(torch.get_rng_state(), state)
        return same_draws and _equal(actor.values(observed), policy.predict_values(observations).flatten())
    finally:
        torch.set_rng_state(before)
        actor.learner.flat.values.copy_(values_before)


def _disturb(learner: Learner) -> None:
    """Add small numbers to all parameters: in a new policy all biases are zero, and would hide what is done to them."""
    values = learner.flat.values
    values.add_(torch.sin(torch.arange(len(values), dtype=torch.float32)), alpha=0.02)


def _equal(ours: NDArray[Any], theirs: Tensor) -> bool:
    array = theirs.numpy()
    return ours.dtype == array.dtype and np.array_equal(ours, array, equal_nan=True)


def _any_observations(space: spaces.Space[Any], like: Any) -> Observation:
    """Return observations of a space in the shape of one step of a memory's, from a generator of their own."""
    if isinstance(space, spaces.Dict):
        return {key: _any_array(part, like[key][0]) for key, part in space.spaces.items()}
    return _any_array(space, like[0])


def _any_array(space: spaces.Space[Any], like: NDArray[Any]) -> NDArray[Any]:
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        return np.random.default_rng(0).normal(size=like.shape).astype(like.dtype)
    space = copy.deepcopy(space)  # as sampling moves its generator
    space.seed(0)
    return np.stack([space.sample() for _ in like]).reshape(like.shape)


def _same_step(learner: Learner, batch: Batch, transitions: Transitions, config: UpdateConfig, n: int) -> bool | None:
    """Return True if all bits are equal, or None if autograd's loss is not finite, with which no step is made."""
    # The same transitions twice: the second step finds moments that are not zero, and weights that have moved.
    # There may be fewer than n, as an order may repeat some.
    rows = np.concatenate([np.arange(n), np.arange(n)]) % len(batch)
    # Disturbed, as in the first minibatch all ratios are 1 and all values are the old ones: so both sides of both
    # clips, and all branches of their gradients, are met.
    wave = 0.4 * torch.sin(torch.arange(len(batch), dtype=torch.float32))
    batch = dataclasses.replace(batch, old_log_prob=batch.old_log_prob + wave, old_values=batch.old_values + wave)
    config = dataclasses.replace(config, batch_size=n, target_kl=None)
    with _Restored(learner):
        _disturb(learner)
        engine = AutogradEngine(learner.policy, learner.flat.optimizer, learner.recipe)
        learner.flat.write_steps()
        expected_terms = []
        with torch.enable_grad():
            for minibatch in batch.minibatches(n, rows):
                terms = engine.forward(minibatch, config)
                if not np.isfinite(terms.loss.item()):
                    return None
                engine.backward(terms, config)
                engine.descend(config)
                expected_terms.append([getattr(terms, name).item() for name in TERMS.names or ()])
        expected = _moved(learner)
    with _Restored(learner):
        _disturb(learner)
        terms_found, _ = learner.learn_epoch(Transitions(transitions.features, batch), rows, config)
        learner.flat.write_steps()
        found = _moved(learner)
    equal = all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))
    return equal and [list(row) for row in terms_found.tolist()] == expected_terms


def _moved(learner: Learner) -> list[Tensor]:
    """Return copies of everything that a step changes: parameters, clipped gradients, state of the optimiser."""
    states = learner.flat.optimizer.state
    tensors = []
    for parameter in learner.flat.parameters:
        assert parameter.grad is not None
        # Kernels that compute a NaN stop before the step, and the optimiser has no state yet.
        state = [states[parameter].get(name, torch.empty(0)) for name in learner.flat.state]
        tensors += [parameter.detach(), parameter.grad, *state]
    return [tensor.clone() for tensor in tensors]


class _Restored:
    """Context that leaves parameters, gradients and optimiser of a learner as they were."""

    def __init__(self, learner: Learner) -> None:
        self.flat = learner.flat

    def __enter__(self) -> None:
        flat = self.flat
        states = flat.optimizer.state
        self.n_steps = flat.n_steps
        self.states = {parameter: dict(states[parameter]) for parameter in flat.parameters if parameter in states}
        tensors = [flat.values, flat.grads, *flat.state.values()]
        tensors += [value for state in self.states.values() for value in state.values() if isinstance(value, Tensor)]
        self.before = [(tensor, tensor.clone()) for tensor in tensors]

    def __exit__(self, *_: object) -> None:
        flat = self.flat
        for tensor, before in self.before:
            tensor.copy_(before)
        flat.n_steps = self.n_steps
        for view, parameter in zip(flat.grad_views, flat.parameters, strict=True):
            parameter.grad = view
            # PyTorch makes the state in the first step only, and so it must be missing again before that one.
            flat.optimizer.state.pop(parameter, None)
            if parameter in self.states:
                flat.optimizer.state[parameter] = self.states[parameter]


def _warn(what: str) -> None:
    if list(results.values()).count(False) == 1:
        warnings.warn(
            f"the compiled kernels do not give PyTorch's bits here ({what}), so the slower fused engine is used;"
            f" results are right (torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()})",
            stacklevel=2,
        )
