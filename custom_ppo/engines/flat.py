"""Optimisers of PyTorch on one vector: parameters, gradients and state are views of flat tensors.

    FlatAdam, FlatAdamW     Kingma & Ba 2015, arXiv 1412.6980; Loshchilov & Hutter 2019, arXiv 1711.05101
    FlatRMSprop             Hinton 2012, lecture 6 of "Neural networks for machine learning"
    FlatRMSpropTFLike       SB3's variant with TensorFlow's rounding
    FlatSGD                 with momentum, also Nesterov's

PyTorch steps parameter by parameter, and small networks spend more time on those calls than on the numbers. One call
for all parameters gives the same bits, as every operation is elementwise. `flat_optimizer` returns the counterpart of
an optimiser, `reason_against_optimizer` the reason why there is none.
"""

from __future__ import annotations

import ctypes
import math
import operator
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

__all__ = [
    "FlatAdam",
    "FlatAdamW",
    "FlatOptimizer",
    "FlatRMSprop",
    "FlatRMSpropTFLike",
    "FlatSGD",
    "flat_optimizer",
    "reason_against_optimizer",
    "same_parameters",
]

Group = Mapping[str, Any]
"""Settings of an optimiser, such as "lr"."""

_ALIGNMENT = 16
"""Number of float32 in 64 bytes; kernels sum a parameter that starts elsewhere in another order, to other bits."""


class FlatOptimizer:
    """Optimiser of PyTorch whose parameters, gradients and state are views of flat tensors.

    `bind` makes them so, `step` replaces the optimiser's own, and `write_steps` leaves the rest of its state as PyTorch
    would have left it. Every parameter begins at a multiple of 64 bytes.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.parameters: list[nn.Parameter] = list(optimizer.param_groups[0]["params"])
        self.n_steps = 0.0
        """Number of steps that were made; a Python float, so that its powers are float64 as in PyTorch."""
        self.offsets: list[int] = []
        """Index of the first number of every parameter in the flat tensors."""
        size = 0
        for parameter in self.parameters:
            self.offsets.append(size)
            size += math.ceil(parameter.numel() / _ALIGNMENT) * _ALIGNMENT
        # Gaps between parameters are computed too, and never read; their gradients are zero.
        self.values = torch.zeros(size, dtype=torch.float32)  # also where users set another default
        self.grads = torch.zeros(size, dtype=torch.float32)
        self.value_views, self.grad_views = self._views(self.values), self._views(self.grads)
        """Parts of the flat tensors in the shapes of the parameters."""
        self.state: dict[str, Tensor] = {
            name: torch.full((size,), start, dtype=torch.float32)
            for name, start in self.state_names(optimizer.param_groups[0]).items()
        }
        """Flat tensors of the state under PyTorch's names, such as "exp_avg"."""
        self.state_views = {name: self._views(flat) for name, flat in self.state.items()}
        self._left: _LeftState | None = None
        """State of PyTorch's optimiser as the last update has left it."""

    @classmethod
    def state_names(cls, group: Group) -> dict[str, float]:
        """Return the names of the state that these settings need, in PyTorch's order, and what it starts with."""
        raise NotImplementedError

    def serves(self, optimizer: torch.optim.Optimizer) -> bool:
        """Return True if this is still the counterpart of an optimiser: users may exchange it, or its parameters."""
        group = optimizer.param_groups[0]
        known = optimizer is self.optimizer and list(self.state) == list(self.state_names(group))
        return known and same_parameters(group["params"], self.parameters)

    def bind(self) -> bool:
        """Make parameters, gradients and state views of the flat tensors, and take over what they hold.

        Returns False if some parameters have made more steps than others, as after a user has reset the state of a
        layer: one number of steps cannot stand for them, and PyTorch's own optimiser must make the steps.
        """
        self.bind_values()
        if self._is_as_left():
            assert self._left is not None
            steps_left = self._left.steps()
            if 0.0 not in steps_left:
                self.n_steps = steps_left[-1]
                return len(set(steps_left)) < 2
        starts = self.state_names(self.optimizer.param_groups[0])
        steps = set()
        with torch.no_grad():
            for i, (parameter, grad) in enumerate(zip(self.parameters, self.grad_views, strict=True)):
                if parameter.grad is not grad:
                    parameter.grad = grad
                self._bind_state(i, parameter, starts)
                steps.add(self.n_steps)
        return len(steps) < 2

    def bind_values(self) -> None:
        """Make the parameters views of the flat tensor, which is all that acting needs."""
        with torch.no_grad():
            for parameter, view in zip(self.parameters, self.value_views, strict=True):
                # Different from the second update on only if somebody exchanged the tensor.
                if parameter.data_ptr() != view.data_ptr():
                    view.copy_(parameter)
                    # .data keeps the Parameter itself, to which the optimiser and its user hold references.
                    parameter.data = view

    def _bind_state(self, index: int, parameter: nn.Parameter, starts: Mapping[str, float]) -> None:
        # `get`, as PyTorch makes no state before the first step, and an update may end without one.
        state = self.optimizer.state.get(parameter, {})
        self.n_steps = self._steps_in(state)
        for name, start in starts.items():
            view = self.state_views[name][index]
            if not self.n_steps:
                view.fill_(start)
            elif state[name] is not view:  # on the first update, and wherever an optimiser was loaded
                view.copy_(state[name])
                state[name] = view

    def _steps_in(self, state: Mapping[str, Any]) -> float:
        """Return the number of steps that PyTorch's state of one parameter stands for."""
        return float(state.get("step", 0))

    def _views(self, flat: Tensor) -> list[Tensor]:
        """Return the part of each parameter in a flat tensor, in its shape."""
        parts = zip(self.parameters, self.offsets, strict=True)
        return [flat[offset : offset + parameter.numel()].view(parameter.shape) for parameter, offset in parts]

    def write_steps(self) -> None:
        """Write the number of steps, and after the first one all state, to PyTorch's optimiser."""
        if not self.n_steps:
            return
        if self._is_as_left():
            assert self._left is not None
            self._left.write_steps(self.n_steps)
            return
        with torch.inference_mode(False):  # or PyTorch could not change these tensors
            for i, parameter in enumerate(self.parameters):
                self._write_state(i, parameter)
        self._left = _left_state(self.optimizer, self.parameters)

    def _is_as_left(self) -> bool:
        """Return True if gradients and state are the tensors that the last update has left, with any contents."""
        left = self._left
        if left is None or not left.is_that_of(self.optimizer):
            return False
        return all(parameter.grad is grad for parameter, grad in zip(self.parameters, self.grad_views, strict=True))

    def _write_state(self, index: int, parameter: nn.Parameter) -> None:
        state = self.optimizer.state[parameter]
        self._write_count(state)
        for name, views in self.state_views.items():
            state[name] = views[index]

    def _write_count(self, state: dict[str, Any]) -> None:
        if "step" in state:
            state["step"].fill_(self.n_steps)
        else:
            state["step"] = torch.tensor(self.n_steps)

    def step(self, max_grad_norm: float) -> None:
        """Clip the global norm of the gradients, and make one step."""
        # The operations, and their order, of clip_grad_norm_ and of the optimisers in torch.optim: sums in another
        # order, or a division instead of a product, differ in the last bit.
        # Norm of the norms of parameters: that of the flat vector would sum in another order.
        norms = torch._foreach_norm(self.grad_views, 2.0)
        total = np.float32(torch.linalg.vector_norm(torch.stack(norms), 2.0).item())
        with np.errstate(all="ignore"):
            # The quotient of a number and a tensor is a product with the reciprocal in PyTorch.
            factor = np.minimum(np.float32(1) / (total + np.float32(1e-6)) * np.float32(max_grad_norm), np.float32(1))
        if factor != 1:
            self.grads.mul_(float(factor))
        self.n_steps += 1
        self._descend(self.optimizer.param_groups[0])
        if self.n_steps == 1:
            self.write_steps()

    def _descend(self, group: Group) -> None:
        """Change `values` and `state` by `grads`, which are clipped already."""
        raise NotImplementedError

    def _decayed(self, group: Group) -> Tensor:
        """Return the gradients with that of the L2 penalty, weight_decay / 2 * |values|^2."""
        weight_decay = group["weight_decay"]
        return self.grads if weight_decay == 0 else self.grads.add(self.values, alpha=weight_decay)


class _LeftState:
    """State of PyTorch's optimiser after an update: to find out whether it was exchanged, and to count its steps.

    A rollout of five steps is shorter than it takes to call PyTorch for every parameter. So the numbers of steps, which
    are tensors of no dimensions, are read and written where they are in memory.
    """

    def __init__(self, states: Mapping[Any, dict[str, Any]]) -> None:
        self.parameters, self.states = list(states), list(states.values())
        self.values = [value for state in self.states for value in state.values()]
        self.step_tensors: list[Tensor] = [state["step"] for state in self.states]
        self.addresses = [step.data_ptr() for step in self.step_tensors]
        self.numbers = [ctypes.c_float.from_address(address) for address in self.addresses]

    def is_that_of(self, optimizer: torch.optim.Optimizer) -> bool:
        """Return True if these very tensors are still the state of an optimiser."""
        states = optimizer.state
        if not (_same(states, self.parameters) and _same(states.values(), self.states)):
            return False
        values = [value for state in self.states for value in state.values()]
        return _same(values, self.values) and [step.data_ptr() for step in self.step_tensors] == self.addresses

    def steps(self) -> list[float]:
        """Return the number of steps of every parameter."""
        return [number.value for number in self.numbers]

    def write_steps(self, n_steps: float) -> None:
        """Write one number of steps for all parameters."""
        for number in self.numbers:
            number.value = n_steps


def _left_state(optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter]) -> _LeftState | None:
    """Return the state that an update leaves, or None for an optimiser that counts steps in no tensors of float32."""
    steps = [state.get("step") for state in optimizer.state.values()]
    if not _same(optimizer.state, parameters) or not all(map(_is_number_in_memory, steps)):
        return None
    return _LeftState(optimizer.state)


def _is_number_in_memory(step: Any) -> bool:
    return type(step) is Tensor and step.dtype == torch.float32 and step.is_cpu and step.dim() == 0


def _same(ours: Collection[Any], theirs: Collection[Any]) -> bool:
    """Return True if these are the same objects in the same order."""
    return len(ours) == len(theirs) and all(map(operator.is_, ours, theirs))


class FlatAdam(FlatOptimizer):
    """Adam (Kingma & Ba 2015, arXiv 1412.6980), also as AMSGrad."""

    @classmethod
    def state_names(cls, group: Group) -> dict[str, float]:
        """Return the names of both moments, and that of the largest second one for AMSGrad."""
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0} | ({"max_exp_avg_sq": 0.0} if group["amsgrad"] else {})

    def _descend(self, group: Group) -> None:
        lr, eps, (beta1, beta2) = group["lr"], group["eps"], group["betas"]
        grads, exp_avg, exp_avg_sq = self._decayed(group), self.state["exp_avg"], self.state["exp_avg_sq"]
        exp_avg.lerp_(grads, 1 - beta1)
        exp_avg_sq.mul_(beta2).addcmul_(grads, grads, value=1 - beta2)
        if group["amsgrad"]:
            largest = self.state["max_exp_avg_sq"]
            exp_avg_sq = torch.maximum(largest, exp_avg_sq, out=largest)
        # Bias corrections in float64, like those of torch.optim.Adam.
        step_size = lr / (1 - beta1**self.n_steps)
        denominator = exp_avg_sq.sqrt().div_((1 - beta2**self.n_steps) ** 0.5).add_(eps)
        self.values.addcdiv_(exp_avg, denominator, value=-step_size)


class FlatAdamW(FlatAdam):
    """Adam that shrinks the weights themselves (Loshchilov & Hutter 2019, arXiv 1711.05101)."""

    def _decayed(self, group: Group) -> Tensor:
        if group["weight_decay"] != 0:
            self.values.mul_(1 - group["lr"] * group["weight_decay"])
        return self.grads


class FlatRMSprop(FlatOptimizer):
    """RMSprop of PyTorch, also centered and with momentum; the optimiser of A2C."""

    start = 0.0
    """Average of squared gradients before the first step."""

    @classmethod
    def state_names(cls, group: Group) -> dict[str, float]:
        """Return the names of the averages that these settings need."""
        names = {"square_avg": cls.start}
        names |= {"momentum_buffer": 0.0} if group["momentum"] > 0 else {}
        return names | ({"grad_avg": 0.0} if group["centered"] else {})

    def _descend(self, group: Group) -> None:
        lr, alpha, momentum = group["lr"], group["alpha"], group["momentum"]
        grads, square_avg = self._decayed(group), self.state["square_avg"]
        square_avg.mul_(alpha).addcmul_(grads, grads, value=1 - alpha)
        variance = square_avg
        if group["centered"]:
            mean = self._averaged(grads, self.state["grad_avg"], alpha)
            variance = square_avg.addcmul(mean, mean, value=-1)
        deviation = self._root(variance, group["eps"])
        if momentum > 0:
            buffer = self.state["momentum_buffer"]
            buffer.mul_(momentum).addcdiv_(grads, deviation)
            self.values.add_(buffer, alpha=-lr)
        else:
            self.values.addcdiv_(grads, deviation, value=-lr)

    @staticmethod
    def _averaged(grads: Tensor, average: Tensor, alpha: float) -> Tensor:
        return average.lerp_(grads, 1 - alpha)

    @staticmethod
    def _root(variance: Tensor, eps: float) -> Tensor:
        return variance.sqrt().add_(eps)


class FlatRMSpropTFLike(FlatRMSprop):
    """RMSprop of SB3's `RMSpropTFLike`: eps inside of the root, and an average that begins with ones."""

    start = 1.0

    def _write_count(self, state: dict[str, Any]) -> None:
        state["step"] = int(self.n_steps)  # SB3 counts in an int

    @staticmethod
    def _averaged(grads: Tensor, average: Tensor, alpha: float) -> Tensor:
        return average.mul_(alpha).add_(grads, alpha=1 - alpha)  # rounded twice, unlike lerp

    @staticmethod
    def _root(variance: Tensor, eps: float) -> Tensor:
        return variance.add(eps).sqrt_()


class FlatSGD(FlatOptimizer):
    """Gradient descent, also with momentum and in Nesterov's form."""

    @classmethod
    def state_names(cls, group: Group) -> dict[str, float]:
        """Return the name of the momentum, if there is any."""
        return {"momentum_buffer": 0.0} if group["momentum"] != 0 else {}

    def _steps_in(self, state: Mapping[str, Any]) -> float:
        # PyTorch counts no steps here. It matters only whether there was one, as the first one begins the momentum.
        return float(state.get("momentum_buffer") is not None)

    def _write_state(self, index: int, parameter: nn.Parameter) -> None:
        for name, views in self.state_views.items():  # without momentum, PyTorch makes no state at all
            self.optimizer.state[parameter][name] = views[index]

    def _descend(self, group: Group) -> None:
        grads, momentum = self._decayed(group), group["momentum"]
        if momentum != 0:
            buffer = self.state["momentum_buffer"]
            if self.n_steps == 1:
                buffer.copy_(grads)  # without the dampening
            else:
                buffer.mul_(momentum).add_(grads, alpha=1 - group["dampening"])
            grads = grads.add(buffer, alpha=momentum) if group["nesterov"] else buffer
        self.values.add_(grads, alpha=-group["lr"])


_COUNTERPARTS: Mapping[str, type[FlatOptimizer]] = {
    "torch.optim.adam.Adam": FlatAdam,
    "torch.optim.adamw.AdamW": FlatAdamW,
    "torch.optim.rmsprop.RMSprop": FlatRMSprop,
    "torch.optim.sgd.SGD": FlatSGD,
    # By name, as only custom_ppo.sb3 may import it.
    "stable_baselines3.common.sb2_compat.rmsprop_tf_like.RMSpropTFLike": FlatRMSpropTFLike,
}
"""Class of an optimiser -> its flat counterpart. A subclass has none, as it may step differently."""


def flat_optimizer(optimizer: torch.optim.Optimizer) -> FlatOptimizer:
    """Return the counterpart of an optimiser; use it only if `reason_against_optimizer` finds no reason."""
    return _COUNTERPARTS[_name(optimizer)](optimizer)


def _name(optimizer: torch.optim.Optimizer) -> str:
    return f"{type(optimizer).__module__}.{type(optimizer).__qualname__}"


def reason_against_optimizer(optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter]) -> str | None:
    """Return the reason why an optimiser of these parameters has no flat counterpart, or None if it has one."""
    counterpart, name = _COUNTERPARTS.get(_name(optimizer)), type(optimizer).__name__
    if counterpart is None:
        return f"the optimiser is {name}"
    if len(optimizer.param_groups) != 1 or not same_parameters(parameters, optimizer.param_groups[0]["params"]):
        return "the optimiser has other parameters than the policy"
    group = optimizer.param_groups[0]
    switches = ["maximize", "capturable", "differentiable", "foreach", "fused"]
    if counterpart is not FlatAdamW:
        switches.append("decoupled_weight_decay")
    changed = [switch for switch in switches if group.get(switch)]
    numbers = [*group.get("betas", ()), *(group.get(name) for name in ("weight_decay", "momentum", "eps", "alpha"))]
    if changed or any(isinstance(number, Tensor) for number in numbers):
        return f"{name} is set to {', '.join(changed) or 'tensors'}"
    hooks = (optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks)
    if any(hooks) or _global_optimizer_pre_hooks or _global_optimizer_post_hooks or "step" in vars(optimizer):
        return "a hook watches the optimiser"
    return _reason_in_state([optimizer.state.get(p, {}) for p in parameters], counterpart.state_names(group))


def _reason_in_state(states: Sequence[Mapping[str, Any]], names: Mapping[str, float]) -> str | None:
    # A layer that was exchanged begins with step 0 while the others go on, but a flat vector has one number of steps.
    # SGD counts no steps, but its momentum begins with the first one.
    if len({(float(state.get("step", 0)), state.get("momentum_buffer") is None) for state in states}) > 1:
        return "some parameters have made more steps than others"
    # Settings that were changed after the first step, with which PyTorch fails.
    missing = [name for name in names for state in states[:1] if "step" in state and name not in state]
    return f"the optimiser's state has no {', '.join(missing)}" if missing else None


def same_parameters(ours: Sequence[nn.Parameter], theirs: Sequence[nn.Parameter]) -> bool:
    """Return True if these are the same parameters in the same order."""
    return _same(ours, theirs)
