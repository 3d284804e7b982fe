"""Floor under the time of `learn()`: the same environment steps alone, and the matrix products at measured speed.

The actions of a training are recorded and played to new environments with the same seeds, which makes the same steps
and resets. Products are those of the linear and convolutional layers, in the shapes of acting and of updating. The
exploration matrices of gSDE, activations, distributions, GAE and the optimiser are left out, so that the floor is
rather too low than too high.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["bare_env_seconds", "product_seconds", "recorded_actions", "sgemm_gflops", "vec_env_seconds"]

_LARGE = 512
"""Rows and columns of the matrix product whose speed counts as the peak."""


def recorded_actions(env: Any) -> list[NDArray[Any]]:
    """Return a list that grows by the actions [N, ...] of every step that this vector environment makes from now on."""
    actions: list[NDArray[Any]] = []
    step = env.step

    def recording_step(chosen: NDArray[Any]) -> Any:
        actions.append(chosen.copy())
        return step(chosen)

    env.step = recording_step
    return actions


def vec_env_seconds(model: Any, actions: Sequence[NDArray[Any]]) -> float:
    """Return the time of these steps in the vector environment of a model that was just built."""
    env = model.env
    start = perf_counter()
    env.reset()  # as in learn(): the first reset of an Atari emulator takes a tenth of a second
    for chosen in actions:
        env.step(chosen)
    return perf_counter() - start


def bare_env_seconds(model: Any, actions: Sequence[NDArray[Any]]) -> float:
    """Return the time of these steps in the environments of a model that was just built, one after the other."""
    envs = model.env.unwrapped.envs
    each = [list(zip(envs, chosen, strict=True)) for chosen in actions]
    start = perf_counter()
    model.env.reset()  # gives the seeds to the environments, and is part of learn()
    for step in each:
        for env, action in step:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
    return perf_counter() - start


@dataclass(frozen=True)
class _Layer:
    """Call of a linear or convolutional layer."""

    module: Any
    inputs: Tensor
    backpropagates: bool
    """True if the gradient of its inputs is needed, too."""


def product_seconds(model: Any, n_timesteps: int) -> tuple[float, float]:
    """Return the times of the products of acting and of updating in a training of SB3's model, which was trained."""
    policy, buffer = model.policy, model.rollout_buffer
    acting = _layers(policy, lambda: policy(policy.obs_to_tensor(model._last_obs)[0]))
    batch = next(buffer.get(getattr(model, "batch_size", None)))
    updating = _layers(policy, lambda: policy.evaluate_actions(batch.observations, _actions(model, batch.actions)))
    n_acts = n_timesteps / model.n_envs
    n_minibatches = n_timesteps * getattr(model, "n_epochs", 1) / len(batch.actions)
    with torch.inference_mode():
        peak = sgemm_gflops() * 1e9
        forward = sum(_forward_seconds(layer, peak) for layer in acting)
        both = sum(_forward_seconds(layer, peak) + _backward_seconds(layer, peak) for layer in updating)
    return n_acts * forward, n_minibatches * both


def _actions(model: Any, actions: Tensor) -> Tensor:
    return actions.long().flatten() if type(model.action_space).__name__ == "Discrete" else actions


def _layers(policy: Any, call: Callable[[], Any]) -> list[_Layer]:
    """Return the layers with products that a call runs through."""
    found: list[_Layer] = []

    def remember(module: Any, inputs: tuple[Tensor, ...], _output: Any) -> None:
        found.append(_Layer(module, inputs[0].detach().clone(), inputs[0].requires_grad))

    modules = [module for module in policy.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    handles = [module.register_forward_hook(remember) for module in modules]
    try:
        call()
    finally:
        for handle in handles:
            handle.remove()
    return found


def _forward_seconds(layer: _Layer, peak: float) -> float:
    weight, bias, inputs = layer.module.weight, layer.module.bias, layer.inputs
    if isinstance(layer.module, nn.Conv2d):
        return _seconds(lambda: layer.module(inputs))
    return _product(bias, inputs, weight.t(), peak)


def _backward_seconds(layer: _Layer, peak: float) -> float:
    weight, inputs = layer.module.weight, layer.inputs
    gradient = torch.ones_like(layer.module(inputs))
    if isinstance(layer.module, nn.Conv2d):
        conv = layer.module
        wanted = [layer.backpropagates, True, False]
        arguments = (None, conv.stride, conv.padding, conv.dilation, False, [0, 0], conv.groups, wanted)
        return _seconds(lambda: torch.ops.aten.convolution_backward(gradient, inputs, weight, *arguments))
    seconds = _product(None, gradient.t(), inputs, peak)
    return seconds + _product(None, gradient, weight, peak) if layer.backpropagates else seconds


def _product(bias: Tensor | None, left: Tensor, right: Tensor, peak: float) -> float:
    """Return the time of left @ right, without that of calling PyTorch, which compiled code need not spend.

    At least the time at peak speed.
    """
    at_peak = 2 * left.shape[0] * left.shape[1] * right.shape[1] / peak
    return max(_called(bias, left, right) - _called(bias, *_TINY), at_peak)


_TINY = torch.ones(1, 1), torch.ones(1, 1)


def _called(bias: Tensor | None, left: Tensor, right: Tensor) -> float:
    out = torch.empty(left.shape[0], right.shape[1])
    if bias is None:
        return _seconds(lambda: torch.mm(left, right, out=out))
    start = bias if left is not _TINY[0] else bias[:1]
    return _seconds(lambda: torch.addmm(start, left, right, out=out))


def _seconds(call: Callable[[], Any]) -> float:
    """Return the shortest mean time of a call over five series of about 2 ms."""
    for _ in range(3):
        call()
    start = perf_counter()
    call()
    n_calls = max(1, int(0.002 / max(perf_counter() - start, 1e-7)))
    best = float("inf")
    for _ in range(5):
        start = perf_counter()
        for _ in range(n_calls):
            call()
        best = min(best, (perf_counter() - start) / n_calls)
    return best


def sgemm_gflops() -> float:
    """Return the speed of a large product of matrices, in 10^9 floating point operations per second."""
    left, right = torch.ones(_LARGE, _LARGE), torch.ones(_LARGE, _LARGE)
    return float(2 * _LARGE**3 / _called(None, left, right) / 1e9)
