"""Most likely actions of a multilayer perceptron by the compiled kernels, without an optimiser or a critic.

    predict = native_prediction(layers, n_states=5, chooses=True)     # None: there are no kernels
    actions = predict(observations)                                   # [5, features] -> [5]

The policy may be SB3's own. Callers compare the first result with that of the policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from custom_ppo.engines.native.learner import activation_of
from custom_ppo.engines.native.library import KernelsUnavailableError, load

__all__ = ["NativePrediction", "native_prediction"]

Layer = tuple[Tensor, Tensor, nn.Module | None]
"""Weight [out, in], bias [out], and the activation behind them, or None."""


def native_prediction(layers: Sequence[Layer], n_states: int, *, chooses: bool) -> NativePrediction | None:
    """Return the prediction for N states at once, or None if there are no kernels.

    chooses: True for one of several actions, whose logits the last layer returns; False for its outputs themselves.
    """
    try:
        kernels = load().kernels
    except KernelsUnavailableError:
        return None
    return NativePrediction(kernels, layers, n_states, chooses=chooses)


class NativePrediction:
    """Function from observations [N, features] to choices, int64 [N], or to outputs, float32 [N, outputs].

    The weights are read where they are: changes in place count, and the tensors are kept alive.
    """

    def __init__(self, kernels: Any, layers: Sequence[Layer], n_states: int, *, chooses: bool) -> None:
        self._kernels = kernels
        self._layers = list(layers)
        self._n_states = n_states
        self._chooses = chooses
        n_features, n_outputs = self._layers[0][0].shape[1], len(self._layers[-1][1])
        self._handle = kernels.learner_new(n_states, n_features)
        for weight, bias, activation in self._layers:
            n_out, n_in = weight.shape
            kernels.learner_add_layer(
                self._handle, False, n_in, n_out, *activation_of(activation), weight.data_ptr(), bias.data_ptr(),
                None, None,
            )  # fmt: skip
        if chooses:
            kernels.learner_add_categorical(self._handle, n_outputs)
        kernels.learner_ready(self._handle)
        self._inputs = np.empty((n_states, n_features), np.float32)
        self._outputs = np.empty((n_states, n_outputs), np.float32)
        # argmax(p / e) is sampled with e = 1: the first of the most likely actions, as torch.argmax chooses.
        self._ones = np.ones((n_states, n_outputs), np.float32)
        self._chosen = np.empty(n_states, np.int64)
        self._unused = np.empty((2, n_states), np.float32)  # values, of a critic without layers, and log-probabilities
        arrays = self._inputs, self._outputs, self._ones, self._chosen, self._unused[0], self._unused[1]
        self._at = tuple(array.ctypes.data for array in arrays)

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            self._kernels.learner_free(self._handle)

    def __call__(self, observations: NDArray[Any]) -> NDArray[Any] | None:
        """Return choices or outputs; None if a number is not finite. Outputs are overwritten by the next call."""
        inputs, outputs, ones, chosen, values, log_prob = self._at
        np.copyto(self._inputs, observations, casting="unsafe")  # float64 is rounded, as by Tensor.float
        if self._chooses:
            possible = self._kernels.learner_act(self._handle, inputs, self._n_states, ones, chosen, values, log_prob)
            return self._chosen.copy() if possible else None
        self._kernels.learner_outputs(self._handle, inputs, self._n_states, outputs)
        return self._outputs if np.isfinite(np.vdot(self._outputs, self._outputs)) else None
