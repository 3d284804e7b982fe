"""Functions inside the kernels, from a library that is compiled for the tests."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from ctypes import c_bool, c_double, c_float, c_int, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from custom_ppo.engines.native.library import KernelsUnavailableError, Library, open_library
from custom_ppo.engines.native.sources import FLAGS, SOURCES, source_files

__all__ = ["CAPABILITY", "SIZES", "call", "kernels", "placed"]

CAPABILITY = torch.backends.cpu.get_cpu_capability()

SIZES = [*range(1, 201), 1000, 4096, 33000]
"""Numbers of elements: all ends of vectors, and sums on several levels of the cascade."""

_TYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "test_activate": (None, (c_int, c_float, c_int64, c_void_p, c_void_p)),
    "test_activation_gradient": (None, (c_int, c_float, c_int64, c_void_p, c_void_p, c_void_p)),
    "test_sum": (c_float, (c_void_p, c_int64)),
    "test_mean": (c_float, (c_void_p, c_int64)),
    "test_standard_deviation": (c_float, (c_void_p, c_int64)),
    "test_norm": (c_float, (c_void_p, c_int64)),
    "test_square_roots": (None, (c_int64, c_void_p, c_void_p)),
    "test_vml_sqrt": (None, (c_int64, c_void_p, c_void_p)),
    "test_sum_over_rows": (None, (c_void_p, c_int64, c_int64, c_void_p)),
    "test_sum_over_columns": (None, (c_void_p, c_int64, c_int64, c_void_p)),
    "test_normalize_advantages": (None, (c_void_p, c_int64)),
    "test_loss": (None, (c_void_p, c_bool, c_int, *[c_void_p] * 5)),
    "test_stack": (None, (c_int, c_void_p, c_int, c_float, c_int, *[c_void_p] * 5)),
    "test_step": (
        None,
        (c_int, c_int64, *[c_void_p] * 5, *[c_double] * 3, c_int, c_void_p, c_void_p),
    ),
    "test_multiply": (
        None,
        (c_void_p, c_int, c_int, c_int, c_void_p, c_int, c_int, c_void_p, c_int, c_int, c_float),
    ),
}


def kernels() -> Any:
    """Return the library with the functions of primitives.c; skip the test if there is no compiler or no support."""
    try:
        return _compiled().kernels
    except KernelsUnavailableError as error:
        pytest.skip(str(error))


@cache
def _compiled() -> Library:
    compiler = next((name for name in ("gcc", "cc", "clang") if shutil.which(name)), None)
    if compiler is None:
        raise KernelsUnavailableError("there is no C compiler")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "primitives.so"
        sources = [*source_files(suffixes=(".c",)), Path(__file__).with_name("primitives.c")]
        command = [
            compiler,
            *FLAGS,
            f"-I{SOURCES}",
            '-DKERNELS_DIGEST="tests"',
            "-shared",
            "-fPIC",
            "-o",
            target,
            *sources,
        ]
        subprocess.run([*map(str, command), "-lm"], check=True)
        library = open_library(target)
    for name, (result, arguments) in _TYPES.items():
        function = getattr(library.kernels, name)
        function.restype, function.argtypes = result, arguments
    return library


def call(name: str, *arguments: Any) -> Any:
    """Call a function of primitives.c; tensors are passed as their addresses."""
    passed = [a.data_ptr() if isinstance(a, Tensor) else a for a in arguments]
    return getattr(kernels(), f"test_{name}")(*passed)


def placed(x: Tensor, offset: int = 0) -> Tensor:
    """Return a contiguous copy that begins `offset` float32 behind a multiple of 64 bytes."""
    room = torch.empty(x.numel() + 32)
    start = (-room.data_ptr() // 4) % 16 + offset
    copy = room[start : start + x.numel()].view(x.shape)
    assert (copy.data_ptr() // 4 - offset) % 16 == 0
    return copy.copy_(x)
