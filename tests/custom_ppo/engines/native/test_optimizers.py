"""The kernels make the steps of PyTorch's optimisers, to the bit, and leave their state behind."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from custom_ppo.engines.flat import FlatOptimizer, flat_optimizer
from custom_ppo.engines.native.optimizers import kernel_options
from tests.custom_ppo.engines.native.primitives import call
from tests.custom_ppo.engines.test_flat import (
    OPTIMIZERS,
    MakeOptimizer,
    Parameters,
    assert_same_state,
    draw_gradients,
    parameters_of,
    stepped_by_torch,
)

ALL: Mapping[str, MakeOptimizer] = {
    **OPTIMIZERS,
    "Adam that forgets": lambda p: torch.optim.Adam(p, betas=(0.3, 0.4), eps=1e-8),
    "Adam at lerp's other formula": lambda p: torch.optim.Adam(p, betas=(0.5, 0.999)),
    "AdamW with all": lambda p: torch.optim.AdamW(p, betas=(0.8, 0.99), amsgrad=True, weight_decay=0.3),
    "RMSprop that forgets, centered": lambda p: torch.optim.RMSprop(p, alpha=0.4, centered=True),
    "SGD with weight decay": lambda p: torch.optim.SGD(p, weight_decay=0.1),
    "SGD, Nesterov with decay": lambda p: torch.optim.SGD(p, momentum=0.5, nesterov=True, weight_decay=0.1),
}


def step(flat: FlatOptimizer, lr: float, max_grad_norm: float) -> None:
    kind, options, state = kernel_options(flat)
    n = len(flat.grad_views)
    call(
        "step", kind, flat.values.numel(), flat.values, flat.grads, torch.empty_like(flat.values),
        (ctypes.c_void_p * 3)(*(None if tensor is None else tensor.data_ptr() for tensor in state)),
        (ctypes.c_double * 8)(*options), flat.n_steps, lr, max_grad_norm,
        n, (ctypes.c_void_p * n)(*(view.data_ptr() for view in flat.grad_views)),
        (ctypes.c_int64 * n)(*(view.numel() for view in flat.grad_views)),
    )  # fmt: skip
    flat.n_steps += 1


def stepped_by_kernels(make: MakeOptimizer, seed: int, n_steps: int) -> tuple[Parameters, torch.optim.Optimizer]:
    parameters = parameters_of(seed)
    optimizer = make(parameters)
    flat = flat_optimizer(optimizer)
    for i in range(n_steps):
        flat.bind()
        for view, gradient in zip(flat.grad_views, draw_gradients(parameters, i), strict=True):
            view.copy_(gradient)
        step(flat, 1e-2 / (1 + i), 0.5)
        flat.write_steps()
    return parameters, optimizer


@pytest.mark.parametrize("name", list(ALL))
def test_the_kernels_make_pytorchs_steps(name: str) -> None:
    for seed in range(6):
        (ours, our_optimizer), (theirs, their_optimizer) = (
            stepped_by_kernels(ALL[name], seed, 12),
            stepped_by_torch(ALL[name], seed, 12),
        )
        for our, their in zip(ours, theirs, strict=True):
            assert torch.equal(our, their)
        assert_same_state(our_optimizer, their_optimizer)


@pytest.mark.parametrize("max_grad_norm", [0.0, 1e-30, 1e-3, 1.0, 1e30, float("inf")])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e25, float("inf"), float("nan")])
def test_gradients_are_clipped_like_pytorchs(size: float, max_grad_norm: float) -> None:
    parameters = parameters_of(4)
    flat = flat_optimizer(torch.optim.SGD(parameters))
    flat.bind()
    for view, gradient in zip(flat.grad_views, draw_gradients(parameters, 3), strict=True):
        view.copy_(gradient * size)
    expected = parameters_of(4)
    for parameter, view in zip(expected, flat.grad_views, strict=True):
        parameter.grad = view.clone()
    torch.nn.utils.clip_grad_norm_(expected, max_grad_norm)
    step(flat, 0.0, max_grad_norm)
    for view, parameter in zip(flat.grad_views, expected, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(view, parameter.grad, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"betas": (0.0, 0.9)},
        {"betas": (0.9, 1.0)},
        {"eps": 0.0},
        {"lr": -1e-3},
        {"lr": 0.0},
        {"amsgrad": True},
        {"weight_decay": 0.1},
    ],
    ids=str,
)
@pytest.mark.parametrize("cls", [torch.optim.Adam, torch.optim.AdamW])
def test_weights_that_get_no_gradient_have_pytorchs_bits(cls: type[torch.optim.Adam], settings: dict[str, Any]) -> None:
    drawn = torch.randn(1024, generator=torch.Generator().manual_seed(0))
    drawn[::3] = torch.tensor([0.0, -0.0]).repeat(171)
    ours, theirs = (torch.nn.Parameter(drawn.clone()) for _ in range(2))
    our_optimizer, their_optimizer = cls([ours], weight_decay=0), cls([theirs], weight_decay=0)
    for optimizer in (our_optimizer, their_optimizer):
        optimizer.param_groups[0].update(settings)  # the constructor refuses some of them
    flat = flat_optimizer(our_optimizer)
    for i in range(4):
        gradient = torch.zeros(1024)
        gradient[600 + i :] = torch.linspace(-1, 1, 424 - i)
        gradient[130:400] = -0.0
        theirs.grad = gradient.clone()
        torch.nn.utils.clip_grad_norm_([theirs], 0.5)
        their_optimizer.step()
        flat.bind()
        flat.grad_views[0].copy_(gradient)
        step(flat, our_optimizer.param_groups[0]["lr"], 0.5)
        flat.write_steps()
    state, expected = our_optimizer.state[ours], their_optimizer.state[theirs]
    assert ours.grad is not None
    pairs = [(ours, theirs), (ours.grad, theirs.grad), *((state[name], expected[name]) for name in flat.state)]
    for our, their in pairs:
        our, their = our.detach(), their.detach()  # type: ignore[union-attr]
        assert torch.equal(our.isnan(), their.isnan())
        assert torch.equal(our.view(torch.int32)[~our.isnan()], their.view(torch.int32)[~our.isnan()])
