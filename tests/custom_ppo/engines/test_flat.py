"""The flat optimisers make PyTorch's steps, to the bit, and leave its state behind."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from torch import nn

from custom_ppo.engines.flat import flat_optimizer, reason_against_optimizer

Parameters = list[nn.Parameter]
MakeOptimizer = Callable[[Parameters], torch.optim.Optimizer]

OPTIMIZERS: Mapping[str, MakeOptimizer] = {
    "Adam": lambda p: torch.optim.Adam(p, lr=1e-2, eps=1e-5),
    "Adam with weight decay": lambda p: torch.optim.Adam(p, lr=1e-2, betas=(0.7, 0.9), weight_decay=0.03),
    "AMSGrad": lambda p: torch.optim.Adam(p, lr=1e-2, amsgrad=True, weight_decay=0.1),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=1e-2),
    "AdamW without decay": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0, amsgrad=True),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=7e-4, alpha=0.99, eps=1e-5, weight_decay=0),
    "RMSprop, centered": lambda p: torch.optim.RMSprop(p, lr=1e-2, centered=True, weight_decay=0.01),
    "RMSprop with momentum": lambda p: torch.optim.RMSprop(p, lr=1e-2, momentum=0.3, alpha=0.9),
    "RMSprop with all": lambda p: torch.optim.RMSprop(p, lr=1e-2, momentum=0.9, centered=True, weight_decay=0.2),
    "RMSpropTFLike": lambda p: RMSpropTFLike(p, lr=7e-4, eps=1e-5),
    "RMSpropTFLike with all": lambda p: RMSpropTFLike(p, 1e-2, momentum=0.9, centered=True, weight_decay=0.2),
    "SGD": lambda p: torch.optim.SGD(p, lr=1e-2),
    "SGD with momentum": lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "SGD, Nesterov": lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9, nesterov=True),
}


def parameters_of(seed: int) -> Parameters:
    """Return parameters of odd sizes, whose last numbers are computed one by one in PyTorch."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    shapes = [rng.integers(1, 80, size=rng.integers(1, 3)).tolist() for _ in range(rng.integers(1, 7))]
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def draw_gradients(parameters: Parameters, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(p.shape, generator=generator) * 10 ** (seed % 5 - 3) for p in parameters]


def stepped_by_torch(make: MakeOptimizer, seed: int, n_steps: int) -> tuple[Parameters, torch.optim.Optimizer]:
    parameters = parameters_of(seed)
    optimizer = make(parameters)
    for step in range(n_steps):
        for parameter, gradient in zip(parameters, draw_gradients(parameters, step), strict=True):
            parameter.grad = gradient
        optimizer.param_groups[0]["lr"] = 1e-2 / (1 + step)
        nn.utils.clip_grad_norm_(parameters, 0.5)
        optimizer.step()
    return parameters, optimizer


def stepped_flat(
    make: MakeOptimizer, seed: int, n_steps: int, reload: bool = False
) -> tuple[Parameters, torch.optim.Optimizer]:
    """Make the same steps; reload: whether the optimiser's state is saved and loaded after every second one."""
    parameters = parameters_of(seed)
    optimizer = make(parameters)
    assert reason_against_optimizer(optimizer, parameters) is None
    flat = flat_optimizer(optimizer)
    for step in range(n_steps):
        flat.bind()
        for view, gradient in zip(flat.grad_views, draw_gradients(parameters, step), strict=True):
            view.copy_(gradient)
        optimizer.param_groups[0]["lr"] = 1e-2 / (1 + step)
        with torch.no_grad():
            flat.step(0.5)
        flat.write_steps()
        if reload and step % 2:
            optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            assert reason_against_optimizer(optimizer, parameters) is None
    return parameters, optimizer


def assert_same_state(ours: torch.optim.Optimizer, theirs: torch.optim.Optimizer) -> None:
    our_state, their_state = ours.state_dict()["state"], theirs.state_dict()["state"]
    assert list(our_state) == list(their_state)
    for index, state in their_state.items():
        assert list(our_state[index]) == list(state)
        for name, value in state.items():
            assert type(our_state[index][name]) is type(value)
            equal = torch.equal if isinstance(value, torch.Tensor) else lambda a, b: a == b
            assert equal(our_state[index][name], value), f"{name} of parameter {index}"


@pytest.mark.parametrize("reload", [False, True])
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_optimiser_makes_pytorchs_steps(name: str, reload: bool) -> None:
    for seed in range(6):
        (ours, our_optimizer), (theirs, their_optimizer) = (
            stepped_flat(OPTIMIZERS[name], seed, 12, reload),
            stepped_by_torch(OPTIMIZERS[name], seed, 12),
        )
        for our, their in zip(ours, theirs, strict=True):
            assert torch.equal(our, their)
        assert_same_state(our_optimizer, their_optimizer)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_pytorch_goes_on_where_the_flat_optimiser_stopped(name: str) -> None:
    ours, our_optimizer = stepped_flat(OPTIMIZERS[name], 1, 3)
    theirs, their_optimizer = stepped_by_torch(OPTIMIZERS[name], 1, 3)
    for parameters, optimizer in ((ours, our_optimizer), (theirs, their_optimizer)):
        for parameter, gradient in zip(parameters, draw_gradients(parameters, 7), strict=True):
            parameter.grad = gradient
        optimizer.step()
    assert all(torch.equal(our, their) for our, their in zip(ours, theirs, strict=True))
    assert_same_state(our_optimizer, their_optimizer)


def test_every_parameter_is_aligned_to_64_bytes() -> None:
    parameters = parameters_of(3)
    flat = flat_optimizer(torch.optim.Adam(parameters))
    assert len(parameters) > 2
    assert all(offset % 16 == 0 for offset in flat.offsets)


class OwnAdam(torch.optim.Adam):
    pass


def grown(optimizer: torch.optim.Optimizer, parameters: Parameters) -> torch.optim.Optimizer:
    """Return the optimiser after a step, now with a momentum that its state does not have."""
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    optimizer.param_groups[0]["momentum"] = 0.5
    return optimizer


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: OwnAdam(p), "the optimiser is OwnAdam"),
        (lambda p: torch.optim.Adagrad(p), "the optimiser is Adagrad"),
        (lambda p: torch.optim.Adam(p, maximize=True), "Adam is set to maximize"),
        (lambda p: torch.optim.SGD(p, foreach=True), "SGD is set to foreach"),
        (lambda p: torch.optim.RMSprop(p, capturable=True), "RMSprop is set to capturable"),
        (lambda p: torch.optim.Adam(p, decoupled_weight_decay=True), "Adam is set to decoupled_weight_decay"),
        (lambda p: torch.optim.SGD(p, weight_decay=torch.tensor(0.1)), "SGD is set to tensors"),
        (lambda p: grown(torch.optim.RMSprop(p), p), "the optimiser's state has no momentum_buffer"),
    ],
)
def test_the_reason_against_an_optimiser_is_named(make: MakeOptimizer, reason: str) -> None:
    parameters = parameters_of(0)
    assert reason_against_optimizer(make(parameters), parameters) == reason


def test_steps_that_were_changed_in_place_are_taken_over() -> None:
    parameters = parameters_of(3)
    optimizer = torch.optim.Adam(parameters)
    flat = flat_optimizer(optimizer)
    for _ in range(2):
        assert flat.bind()
        with torch.no_grad():
            flat.step(0.5)
        flat.write_steps()
    assert [state["step"].item() for state in optimizer.state.values()] == [2.0] * len(parameters)
    for state in optimizer.state.values():
        state["step"].fill_(7.0)
    assert flat.bind()
    assert flat.n_steps == 7
    optimizer.state[parameters[0]]["step"].fill_(1.0)
    assert not flat.bind()


def test_state_that_was_exchanged_after_an_update_is_taken_over() -> None:
    parameters, optimizer = stepped_flat(OPTIMIZERS["Adam"], 1, 2)
    flat = flat_optimizer(optimizer)
    flat.bind()
    flat.write_steps()
    state = optimizer.state[parameters[0]]
    state["exp_avg"] = torch.full_like(state["exp_avg"], 3.0)
    state["step"] = torch.tensor(2.0)
    assert flat.bind()
    assert state["exp_avg"] is flat.state_views["exp_avg"][0]
    assert torch.equal(state["exp_avg"], torch.full_like(state["exp_avg"], 3.0))
    flat.n_steps = 5.0
    flat.write_steps()
    assert state["step"].item() == 5
