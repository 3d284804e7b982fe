"""Gradients, optimiser steps and weights of any implementation that learns with PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from harness.crosscheck.tracing.parameter_matching import NamedTensors
from harness.crosscheck.tracing.recorder import Recorder, as_array

__all__ = ["OptimizerProbe", "describe_optimizer", "load_vector"]

Array = NDArray[Any]


class OptimizerProbe:
    """Hooks of weights and optimisers. A minibatch ends when all weights that any optimiser holds have been updated.

    parameters: weights, in the order in which they are recorded. optimizers: optimisers that exist already; one that is
    made later replaces those whose weights it holds.
    """

    def __init__(
        self, recorder: Recorder, parameters: NamedTensors, optimizers: Sequence[torch.optim.Optimizer]
    ) -> None:
        self.recorder = recorder
        self.parameters = parameters
        self.optimizers = list(optimizers)
        self._gradients: dict[int, Tensor] = {}
        self._clipped: dict[int, Tensor] = {}
        self._stepped: list[torch.optim.Optimizer] = []
        self._rates: list[float] = []
        self._handles: list[Any] = []
        self._own = {id(tensor) for _, tensor in parameters}
        self._held = [_held_ids(optimizer) & self._own for optimizer in self.optimizers]
        self._offsets = np.cumsum([0, *(tensor.numel() for _, tensor in parameters)])
        recorder.builder.parameters = tuple((name, tuple(tensor.shape)) for name, tensor in parameters)
        recorder.builder.optimizer = _describe_all(optimizers)

    def attach(self) -> None:
        """Add hooks to every weight and every optimiser, including optimisers that are made later."""
        for index, (_, parameter) in enumerate(self.parameters):
            if parameter.is_leaf and parameter.requires_grad:
                hook: Any = partial(self._gradient_accumulated, index)
                handle = parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]
                self._handles.append(handle)
        # Global hooks, as some implementations make a new optimiser for every update.
        self._handles += [
            register_optimizer_step_pre_hook(lambda optimizer, *_: self._if_ours(self.before_step, optimizer)),
            register_optimizer_step_post_hook(lambda optimizer, *_: self._if_ours(self.after_step, optimizer)),
        ]

    def detach(self) -> None:
        """Remove all hooks: the garbage collector does not see those of weights, which would keep the trace alive."""
        for handle in self._handles:
            handle.remove()

    def record_gradients(self) -> None:
        """Record the gradients before clipping, for implementations that report when all of them are computed."""
        for index, (_, parameter) in enumerate(self.parameters):
            if parameter.grad is not None:
                self._gradient_accumulated(index, parameter)

    def record_step(self) -> None:
        """Record a step that the only optimiser has just made, before the clipped gradients are overwritten."""
        (optimizer,) = self.optimizers
        self.before_step(optimizer)
        self.after_step(optimizer)

    def _if_ours(self, record: Callable[[torch.optim.Optimizer], None], optimizer: torch.optim.Optimizer) -> None:
        """Record a step of an optimiser that is known, or that is new and holds our weights."""
        # The global hooks are called for optimisers of any other model in the process too: the weights tell them apart.
        if not any(optimizer is known for known in self.optimizers):
            new = _held_ids(optimizer) & self._own
            if not new:
                return
            kept = [(known, held) for known, held in zip(self.optimizers, self._held, strict=True) if not held <= new]
            self.optimizers = [*(known for known, _ in kept), optimizer]
            self._held = [*(held for _, held in kept), new]
        record(optimizer)

    def before_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Record clipped gradients and step sizes; the weights are about to move."""
        # A second step of one optimiser before all weights were updated: the other optimisers skip this minibatch.
        if optimizer in self._stepped:
            self._end_minibatch()
        log = self.recorder.operations
        if log is not None:
            self.recorder.collect_operations()
            log.paused = True  # an optimiser written in Python would log its own arithmetic
        held = _held_ids(optimizer)
        for index, (_, parameter) in enumerate(self.parameters):
            if id(parameter) in held and parameter.grad is not None:
                self._clipped[index] = parameter.grad.detach().clone()
                self._feed_part(parameter.grad, "clipped_gradient", index)
        # Read at the step, as schedules set it in many places: before an update, an epoch, or a minibatch.
        self._rates += [float(group["lr"]) for group in optimizer.param_groups]

    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """End the minibatch if all weights have been updated."""
        if self.recorder.operations is not None:
            self.recorder.operations.paused = False
        self._stepped.append(optimizer)
        moved = [held for other, held in zip(self.optimizers, self._held, strict=True) if other in self._stepped]
        if set().union(*moved) >= set().union(*self._held):
            self._end_minibatch()

    def _gradient_accumulated(self, index: int, parameter: Tensor) -> None:
        # Called once for each backward pass: the gradient is the sum of all passes, complete at the last call.
        assert parameter.grad is not None
        self._gradients[index] = parameter.grad.detach().clone()
        self._feed_part(parameter.grad, "gradient", index)

    def _feed_part(self, tensor: Tensor, quantity: str, index: int) -> None:
        """Overwrite one weight's part of a vector with the feeding trace's, in a fed run."""
        recorder = self.recorder
        if recorder.fed_from is None:
            return
        other = recorder.fed_from.get(recorder.step, recorder.minibatch, quantity)
        if other is not None and other.size == self._offsets[-1]:
            load_vector([tensor], other[self._offsets[index] : self._offsets[index + 1]])

    def _end_minibatch(self) -> None:
        recorder = self.recorder
        if self._gradients:
            recorder.record_minibatch("gradient", self._vector(self._gradients))
        recorder.record_minibatch("clipped_gradient", self._vector(self._clipped))
        recorder.record_minibatch("learning_rate", self._rates if len(set(self._rates)) > 1 else self._rates[:1])
        recorder.builder.optimizer = _describe_all(self._stepped)  # without those that are never used
        recorder.record_minibatch("parameters", self.weights())
        recorder.record_minibatch("optimizer_state", self.moments())
        # Fed only now, after everything of this minibatch was recorded, so that the next one starts from right weights.
        for index, (_, parameter) in enumerate(self.parameters):
            self._feed_part(parameter.data, "parameters", index)
        self._feed_moments()
        recorder.end_minibatch()
        self._gradients, self._clipped, self._stepped, self._rates = {}, {}, [], []

    def weights(self) -> Array:
        """Return all weights as one vector."""
        return self._vector({index: parameter for index, (_, parameter) in enumerate(self.parameters)})

    def moments(self) -> Array:
        """Return the optimisers' moments as one vector: one kind after the other, each in the order of the weights."""
        parts = [as_array(tensor).reshape(-1) for tensor in self._moment_tensors()]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def _moment_tensors(self) -> Iterable[Tensor]:
        kept = [optimizer.state for optimizer in self.optimizers]
        states: list[dict[str, Any]] = [
            next((state[parameter] for state in kept if parameter in state), {}) for _, parameter in self.parameters
        ]
        # The step count is left out: it repeats the minibatch's number, and only some optimisers keep it as a tensor.
        kinds = sorted({kind for state in states for kind, value in state.items() if kind != "step" and _is_big(value)})
        return [state[kind] for kind in kinds for state in states if kind in state]

    def _feed_moments(self) -> None:
        recorder = self.recorder
        feed = recorder.fed_from
        other = None if feed is None else feed.get(recorder.step, recorder.minibatch, "optimizer_state")
        tensors = list(self._moment_tensors())
        if other is not None and other.size == sum(tensor.numel() for tensor in tensors):
            load_vector(tensors, other)

    def _vector(self, parts: Mapping[int, Tensor]) -> Array:
        """Return tensors by index of their weight as one vector, with zeros for weights that have none."""
        return np.concatenate(
            [
                as_array(parts[index]).reshape(-1) if index in parts else np.zeros(parameter.numel(), np.float32)
                for index, (_, parameter) in enumerate(self.parameters)
            ]
            or [np.empty(0, np.float32)]
        )


def load_vector(tensors: Iterable[Tensor], vector: Array) -> None:
    """Overwrite tensors, one after the other, with the elements of a vector of their total size."""
    start = 0
    with torch.no_grad():
        for tensor in tensors:
            part = vector[start : start + tensor.numel()]
            tensor.copy_(torch.from_numpy(part.reshape(tuple(tensor.shape))))
            start += tensor.numel()


def _held_ids(optimizer: torch.optim.Optimizer) -> set[int]:
    """Return the ids of the weights that an optimiser updates."""
    return {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}


def _is_big(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0


def _describe_all(optimizers: Sequence[torch.optim.Optimizer]) -> str:
    return ", ".join(dict.fromkeys(map(describe_optimizer, optimizers)))


def describe_optimizer(optimizer: torch.optim.Optimizer) -> str:
    """Return kind and settings without the learning rate: "Adam(betas=(0.9, 0.999), eps=1e-05)"."""
    shown = ("betas", "momentum", "alpha", "eps", "weight_decay", "amsgrad", "nesterov", "centered")
    settings = [f"{name}={optimizer.defaults[name]}" for name in shown if optimizer.defaults.get(name)]
    return f"{type(optimizer).__name__}({', '.join(settings)})"
