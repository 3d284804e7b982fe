from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from custom_ppo.engines.native import prediction as module
from custom_ppo.engines.native.library import KernelsUnavailableError, reason_against_loading
from custom_ppo.engines.native.prediction import Layer, native_prediction

needs_kernels = pytest.mark.skipif(reason_against_loading() is not None, reason="there are no compiled kernels")


def network(sizes: list[int], activation: nn.Module, scale: float) -> list[Layer]:
    generator = torch.Generator().manual_seed(len(sizes))
    layers: list[Layer] = []
    for n_in, n_out in itertools.pairwise(sizes):
        weight = scale * torch.randn(n_out, n_in, generator=generator)
        layers.append((weight, torch.randn(n_out, generator=generator), activation))
    return [*layers[:-1], (*layers[-1][:2], None)]


def outputs_of(layers: list[Layer], observations: np.ndarray[Any, Any]) -> torch.Tensor:
    hidden = torch.from_numpy(observations).float()
    for weight, bias, activation in layers:
        hidden = nn.functional.linear(hidden, weight, bias)
        hidden = hidden if activation is None else activation(hidden)
    return hidden


@needs_kernels
@pytest.mark.parametrize("sizes", [[4, 64, 64, 2], [9, 64, 64, 1], [3, 5], [17, 400, 300, 6]], ids=str)
@pytest.mark.parametrize("activation", [nn.Tanh(), nn.ReLU()], ids=["tanh", "relu"])
@pytest.mark.parametrize("n_states", [1, 5, 10])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_outputs_and_choices_have_the_bits_of_torch(
    sizes: list[int], activation: nn.Module, n_states: int, dtype: type[Any]
) -> None:
    layers = network(sizes, activation, 0.3)
    values, choices = (native_prediction(layers, n_states, chooses=chooses) for chooses in (False, True))
    assert values is not None
    assert choices is not None
    rng = np.random.default_rng(0)
    for _ in range(20):
        observations = rng.normal(size=(n_states, sizes[0])).astype(dtype)
        expected = outputs_of(layers, observations)
        found, chosen = values(observations), choices(observations)
        assert found is not None
        assert chosen is not None
        assert found.tobytes() == expected.numpy().tobytes()
        probabilities = torch.softmax(expected - expected.logsumexp(-1, keepdim=True), -1)
        assert chosen.dtype == np.int64
        assert chosen.tolist() == probabilities.argmax(-1).tolist()


@needs_kernels
def test_equal_probabilities_give_the_first_action() -> None:
    layers: list[Layer] = [(torch.zeros(3, 4), torch.tensor([1.0, 2.0, 2.0]), None)]
    predict = native_prediction(layers, 2, chooses=True)
    assert predict is not None
    assert predict(np.ones((2, 4), np.float32)).tolist() == [1, 1]  # type: ignore[union-attr]


@needs_kernels
def test_weights_that_change_in_place_count() -> None:
    layers = network([3, 8, 2], nn.Tanh(), 1.0)
    predict = native_prediction(layers, 1, chooses=False)
    assert predict is not None
    observations = np.ones((1, 3), np.float32)
    layers[0][0].mul_(-0.5)
    assert predict(observations).tolist() == outputs_of(layers, observations).tolist()  # type: ignore[union-attr]


@needs_kernels
@pytest.mark.parametrize("chooses", [True, False])
def test_nothing_is_returned_for_numbers_that_are_not_finite(chooses: bool) -> None:
    predict = native_prediction(network([3, 8, 2], nn.Tanh(), 1.0), 1, chooses=chooses)
    assert predict is not None
    assert predict(np.full((1, 3), np.nan, np.float32)) is None


def test_without_kernels_there_is_no_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise KernelsUnavailableError("no compiler")

    monkeypatch.setattr(module, "load", fail)

    assert native_prediction(network([3, 2], nn.Tanh(), 1.0), 1, chooses=False) is None
