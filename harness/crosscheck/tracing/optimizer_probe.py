"""What can be seen of any implementation that learns with PyTorch: gradients, steps of the optimisers, and weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from harness.crosscheck.tracing.parameter_matching import Named
from harness.crosscheck.tracing.recorder import Recorder, as_array

__all__ = ["Descent"]

Array = NDArray[Any]


class Descent:
    """Watches the optimisers of a run, which may be several: a minibatch ends when all weights have been moved.

    parameters: the weights, in the order in which they are remembered. optimizers: those that there are so far; one
    that is made later, and moves these weights, takes the place of those whose weights it has.
    """

    def __init__(self, recorder: Recorder, parameters: Named, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        self.recorder = recorder
        self.parameters = parameters
        self.optimizers = list(optimizers)
        self._raw: dict[int, Tensor] = {}
        self._clipped: dict[int, Tensor] = {}
        self._stepped: list[torch.optim.Optimizer] = []
        self._rates: list[float] = []
        self._handles: list[Any] = []
        self._own = {id(tensor) for _, tensor in parameters}
        self._held = [_held(optimizer) & self._own for optimizer in self.optimizers]
        self._offsets = np.cumsum([0, *(tensor.numel() for _, tensor in parameters)])
        recorder.trace.parameters = tuple((name, tuple(tensor.shape)) for name, tensor in parameters)
        recorder.trace.optimizer = _described(optimizers)

    def watch(self) -> None:
        """Hook into every weight and every optimiser, also those that are yet to be made."""
        for index, (_, parameter) in enumerate(self.parameters):
            if parameter.is_leaf and parameter.requires_grad:
                hook: Any = partial(self._accumulated, index)
                handle = parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]
                self._handles.append(handle)
        # Of all optimisers there are, as one may be made anew for every update.
        self._handles += [
            register_optimizer_step_pre_hook(lambda optimizer, *_: self._if_ours(self.before_step, optimizer)),
            register_optimizer_step_post_hook(lambda optimizer, *_: self._if_ours(self.after_step, optimizer)),
        ]

    def unwatch(self) -> None:
        """Let go: the hooks of weights are out of the garbage collector's sight, and would keep the trace for ever."""
        for handle in self._handles:
            handle.remove()

    def see_gradients(self) -> None:
        """All weights hold their gradient, not yet clipped: for implementations that say so themselves."""
        for index, (_, parameter) in enumerate(self.parameters):
            if parameter.grad is not None:
                self._accumulated(index, parameter)

    def see_step(self) -> None:
        """The only optimiser has made a step, and the clipped gradients are still there."""
        (optimizer,) = self.optimizers
        self.before_step(optimizer)
        self.after_step(optimizer)

    def _if_ours(self, see: Callable[[torch.optim.Optimizer], None], optimizer: torch.optim.Optimizer) -> None:
        """See the step of an optimiser that is known, or that is new and moves our weights."""
        if not any(optimizer is known for known in self.optimizers):
            new = _held(optimizer) & self._own
            if not new:
                return
            kept = [(known, held) for known, held in zip(self.optimizers, self._held, strict=True) if not held <= new]
            self.optimizers = [*(known for known, _ in kept), optimizer]
            self._held = [*(held for _, held in kept), new]
        see(optimizer)

    def before_step(self, optimizer: torch.optim.Optimizer) -> None:
        """The gradients are clipped, and the weights about to move."""
        if optimizer in self._stepped:  # the others make no step for this minibatch
            self._end_minibatch()
        log = self.recorder.operations
        if log is not None:
            self.recorder.take_operations()
            log.paused = True
        mine = _held(optimizer)
        for index, (_, parameter) in enumerate(self.parameters):
            if id(parameter) in mine and parameter.grad is not None:
                self._clipped[index] = parameter.grad.detach().clone()
                self._overwrite(parameter.grad, "clipped_gradient", index)
        self._rates += [float(group["lr"]) for group in optimizer.param_groups]

    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """The weights have moved."""
        if self.recorder.operations is not None:
            self.recorder.operations.paused = False
        self._stepped.append(optimizer)
        moved = [held for other, held in zip(self.optimizers, self._held, strict=True) if other in self._stepped]
        if set().union(*moved) >= set().union(*self._held):
            self._end_minibatch()

    def _accumulated(self, index: int, parameter: Tensor) -> None:
        assert parameter.grad is not None
        self._raw[index] = parameter.grad.detach().clone()
        self._overwrite(parameter.grad, "gradient", index)

    def _overwrite(self, tensor: Tensor, quantity: str, index: int) -> None:
        """Feed one weight's part of a vector."""
        recorder = self.recorder
        if recorder.feed is None:
            return
        other = recorder.feed.get(recorder.step, recorder.minibatch, quantity)
        if other is not None and other.size == self._offsets[-1]:
            part = other[self._offsets[index] : self._offsets[index + 1]]
            with torch.no_grad():
                tensor.copy_(torch.from_numpy(part.reshape(tuple(tensor.shape))))

    def _end_minibatch(self) -> None:
        recorder = self.recorder
        if self._raw:
            recorder.learns("gradient", self._vector(self._raw))
        recorder.learns("clipped_gradient", self._vector(self._clipped))
        recorder.learns("learning_rate", self._rates if len(set(self._rates)) > 1 else self._rates[:1])
        recorder.trace.optimizer = _described(self._stepped)  # without those that are never used
        recorder.learns("parameters", self.weights())
        recorder.learns("optimizer_state", self.moments())
        for index, (_, parameter) in enumerate(self.parameters):
            self._overwrite(parameter.data, "parameters", index)
        self._feed_moments()
        recorder.end_minibatch()
        self._raw, self._clipped, self._stepped, self._rates = {}, {}, [], []

    def weights(self) -> Array:
        """All weights as one vector."""
        return self._vector({index: parameter for index, (_, parameter) in enumerate(self.parameters)})

    def moments(self) -> Array:
        """What the optimisers keep of the weights' shape, weight after weight, kind after kind."""
        parts = [as_array(tensor).reshape(-1) for tensor in self._moment_tensors()]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def _moment_tensors(self) -> Iterable[Tensor]:
        kept = [optimizer.state for optimizer in self.optimizers]
        states: list[dict[str, Any]] = [
            next((state[parameter] for state in kept if parameter in state), {}) for _, parameter in self.parameters
        ]
        kinds = sorted({kind for state in states for kind, value in state.items() if kind != "step" and _is_big(value)})
        return [state[kind] for kind in kinds for state in states if kind in state]

    def _feed_moments(self) -> None:
        recorder = self.recorder
        feed = recorder.feed
        other = None if feed is None else feed.get(recorder.step, recorder.minibatch, "optimizer_state")
        tensors = list(self._moment_tensors())
        if other is None or other.size != sum(tensor.numel() for tensor in tensors):
            return
        start = 0
        for tensor in tensors:
            part = other[start : start + tensor.numel()]
            tensor.copy_(torch.from_numpy(part.reshape(tuple(tensor.shape))))
            start += tensor.numel()

    def _vector(self, parts: dict[int, Tensor]) -> Array:
        return np.concatenate(
            [
                as_array(parts[index]).reshape(-1) if index in parts else np.zeros(parameter.numel(), np.float32)
                for index, (_, parameter) in enumerate(self.parameters)
            ]
            or [np.empty(0, np.float32)]
        )


def _held(optimizer: torch.optim.Optimizer) -> set[int]:
    """Ids of the weights that it moves."""
    return {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}


def _is_big(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0


def _described(optimizers: Sequence[torch.optim.Optimizer]) -> str:
    return ", ".join(dict.fromkeys(map(describe, optimizers)))


def describe(optimizer: torch.optim.Optimizer) -> str:
    """Such as "Adam(betas=(0.9, 0.999), eps=1e-05, weight_decay=0)"; the learning rate is a number of its own."""
    shown = ("betas", "momentum", "alpha", "eps", "weight_decay", "amsgrad", "nesterov", "centered")
    settings = [f"{name}={optimizer.defaults[name]}" for name in shown if optimizer.defaults.get(name)]
    return f"{type(optimizer).__name__}({', '.join(settings)})"
