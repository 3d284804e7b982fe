"""Types of the kernels' functions for ctypes; without them Python would cut pointers down to 32 bits."""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import c_int, c_void_p
from typing import Any

__all__ = ["SIGNATURES"]

SIGNATURES: Mapping[str, tuple[Any, tuple[Any, ...]]] = {
    # kernels/torch_math.c
    "kernels_tanh": (None, (c_int, c_void_p, c_void_p)),
}
"""Type of the result (None for void) and types of the arguments of each exported function, by its name."""
