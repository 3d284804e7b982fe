"""Types of the kernels' functions for ctypes; without them Python would cut pointers down to 32 bits."""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import c_bool, c_double, c_int, c_int64, c_void_p
from typing import Any

__all__ = ["SIGNATURES"]

SIGNATURES: Mapping[str, tuple[Any, tuple[Any, ...]]] = {
    # kernels/torch_math.c, kernels/elementwise.c
    "kernels_tanh": (None, (c_int, c_void_p, c_void_p)),
    "set_wide_lanes": (None, (c_int,)),
    # kernels/learner.c
    "learner_new": (c_void_p, (c_int64, c_int)),
    "learner_free": (None, (c_void_p,)),
    "learner_add_layer": (
        None,
        (c_void_p, c_bool, c_int, c_int, c_int, c_double, c_void_p, c_void_p, c_void_p, c_void_p),
    ),
    "learner_set_optimizer": (
        None,
        (c_void_p, c_int, c_int64, c_void_p, c_void_p, c_void_p, c_void_p, c_int, c_void_p, c_void_p),
    ),
    "learner_ready": (None, (c_void_p,)),
    "learner_steps": (c_double, (c_void_p,)),
    "learner_set_steps": (None, (c_void_p, c_double)),
    "learner_values": (None, (c_void_p, c_void_p, c_int, c_void_p)),
    "learner_outputs": (None, (c_void_p, c_void_p, c_int, c_void_p)),
    "learner_act": (c_bool, (c_void_p, c_void_p, c_int, c_void_p, c_void_p, c_void_p, c_void_p)),
    "learner_accepts": (c_bool, (c_void_p, c_void_p, c_int64, c_void_p, c_int64)),
    "learner_epoch": (
        c_int,
        (c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_void_p, c_void_p, c_void_p),
    ),
    # one for each distribution: kernels/categorical.c, ...
    "learner_add_categorical": (None, (c_void_p, c_int)),
    "learner_add_multi_categorical": (None, (c_void_p, c_int, c_void_p)),
    "learner_add_bernoulli": (None, (c_void_p, c_int)),
    "learner_add_gaussian": (None, (c_void_p, c_int, c_void_p, c_void_p)),
    "learner_add_state_dependent": (None, (c_void_p, c_int, c_void_p, c_void_p, c_bool, c_bool, c_bool)),
    # kernels/gae.c
    "gae_advantages": (None, (c_int64, c_int64, *(c_void_p,) * 5, c_double, c_double, c_void_p, c_void_p)),
    # kernels/convolution.c
    "first_convolution_gradients": (None, (c_void_p, c_int)),
    # kernels/vec_normalize.c
    "vec_normalize_step": (None, (c_void_p,)),
}
"""Type of the result (None for void) and types of the arguments of each exported function, by its name."""
