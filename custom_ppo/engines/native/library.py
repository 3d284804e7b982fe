"""Load the compiled kernels, or say in one line why they cannot be used and what would help.

The kernels call torch's own functions, whose addresses are looked up in the libtorch_cpu.so of this process.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from dataclasses import dataclass
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import torch

from custom_ppo.engines.native import sources
from custom_ppo.engines.native.signatures import SIGNATURES

__all__ = [
    "CAPABILITIES",
    "ENVIRONMENT_VARIABLE",
    "REQUIRED",
    "VERIFIED_TORCH",
    "KernelsUnavailableError",
    "Library",
    "load",
    "open_library",
    "reason_against_loading",
]

ENVIRONMENT_VARIABLE = "CUSTOM_PPO_KERNELS"
"""Environment variable with the path of another library; "0" or "off" disables the native engine."""

VERIFIED_TORCH = ("2.13.0",)
"""Versions of torch with which all kernels were compared; with others, the comparison before use decides alone."""

CAPABILITIES = ("AVX2", "AVX512")
"""CPU capabilities of torch whose order of summation the kernels reproduce."""

REQUIRED = ("sgemm_", "VMSTANH_", "VMSEXP_", "VMSLN_", "VMSSQRT_")
"""Functions of torch without which no kernel works; the others are needed by some kernels only."""

REBUILD = "run `make kernels`, or reinstall"
BUILT_LIBRARY = Path(__file__).with_name(f"_kernels{EXTENSION_SUFFIXES[0]}")


class KernelsUnavailableError(RuntimeError):
    """The kernels cannot be used; the message is one line with the reason and the remedy."""


@dataclass(frozen=True, eq=False)
class Library:
    """Compiled kernels, ready to be called."""

    kernels: ctypes.CDLL
    """Functions of `SIGNATURES`, called as attributes: library.kernels.kernels_tanh(...)."""
    path: Path
    digest: str
    """SHA-256 of the sources and flags that it was compiled from."""
    compiler: str
    capability: str
    """CPU capability that torch uses: "AVX2" or "AVX512"."""
    torch_functions: frozenset[str]
    """Names of torch's functions that were found and given to the kernels."""

    def has(self, *names: str) -> bool:
        """Return True if this build of torch has all of these functions."""
        return self.torch_functions.issuperset(names)


def load() -> Library:
    """Return the library, which is loaded at the first call; raise KernelsUnavailableError."""
    outcome = _outcome()
    if isinstance(outcome, str):
        raise KernelsUnavailableError(outcome)
    return outcome


def reason_against_loading() -> str | None:
    """Return the reason why the kernels cannot be used, with the remedy, or None if they can."""
    outcome = _outcome()
    return outcome if isinstance(outcome, str) else None


@cache
def _outcome() -> Library | str:
    """Return the library, or the reason why there is none, found out once per process."""
    wanted = os.environ.get(ENVIRONMENT_VARIABLE, "")
    try:
        if wanted in ("0", "off"):
            raise KernelsUnavailableError(f"{ENVIRONMENT_VARIABLE}={wanted} disables it; unset that variable")
        return open_library(Path(wanted) if wanted else None)
    except KernelsUnavailableError as error:
        return str(error)


def open_library(path: Path | None = None, libtorch: Path | None = None) -> Library:
    """Open a library anew; raise KernelsUnavailableError.

    path: file of another library, whose sources are not compared with those of this package.
    libtorch: file in which torch's functions are looked up, instead of the libtorch_cpu.so of this process.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise KernelsUnavailableError(f"it needs Linux on x86_64, and this is {sys.platform} on {platform.machine()}")
    capability = torch.backends.cpu.get_cpu_capability()  # obeys ATEN_CPU_CAPABILITY
    # Before the library is opened: another CPU would stop at its first instruction.
    if capability not in CAPABILITIES:
        raise KernelsUnavailableError(
            f"torch's CPU capability is {capability}, but the kernels reproduce the rounding of"
            f" {' and '.join(CAPABILITIES)}; use another CPU, or unset ATEN_CPU_CAPABILITY"
        )
    file, remedy = (BUILT_LIBRARY, REBUILD) if path is None else (path, f"unset {ENVIRONMENT_VARIABLE}")
    if not file.is_file():
        if path is None:
            raise KernelsUnavailableError(
                f"the kernels were not compiled; install a C compiler (gcc or clang) and {REBUILD}"
            )
        raise KernelsUnavailableError(f"there is no file {path}; {remedy}")
    try:
        kernels = _opened(file)
        digest = str(kernels.kernels_digest().decode())
        if path is None and digest != sources.digest():
            raise KernelsUnavailableError(f"the kernels were compiled from other sources; {remedy}")
        _declare(kernels)
    except (
        OSError,
        AttributeError,
    ) as error:  # no library of this machine, no sources beside it, or a missing function
        raise KernelsUnavailableError(f"the kernels cannot be loaded ({error}); {remedy}") from error
    kernels.set_wide_lanes(16 if capability == "AVX512" else 8)
    found = _connect(kernels, libtorch or Path(torch.__file__).with_name("lib") / "libtorch_cpu.so")
    return Library(kernels, file, digest, str(kernels.kernels_compiler().decode()), capability, found)


def _opened(file: Path) -> ctypes.CDLL:
    """Return a library whose own functions can be called; raise OSError or AttributeError."""
    kernels = ctypes.CDLL(str(file.resolve()))  # an absolute path: others would be searched for in the system's folders
    for name in ("kernels_digest", "kernels_compiler"):
        getattr(kernels, name).restype = ctypes.c_char_p
    kernels.torch_function_names.restype = ctypes.POINTER(ctypes.c_char_p)
    kernels.take_torch_functions.argtypes = [ctypes.POINTER(ctypes.c_void_p)]
    kernels.take_torch_functions.restype = None
    return kernels


def _declare(kernels: ctypes.CDLL) -> None:
    """Declare the types of all other functions; raise AttributeError if one is missing."""
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(kernels, name)
        function.restype, function.argtypes = result, arguments


def _connect(kernels: ctypes.CDLL, libtorch: Path) -> frozenset[str]:
    """Give the kernels the addresses of torch's functions, and return the names of those that were found."""
    try:
        library = ctypes.CDLL(str(libtorch))  # loaded already, so that this opens the very one that torch uses
    except OSError as error:
        raise KernelsUnavailableError(
            f"this build of torch has no {libtorch.name} ({error}); install torch from PyPI"
        ) from error
    names = []
    for name in kernels.torch_function_names():
        if name is None:
            break
        names.append(name.decode())
    addresses = {name: ctypes.cast(getattr(library, name), ctypes.c_void_p) for name in names if hasattr(library, name)}
    missing = [name for name in REQUIRED if name not in addresses]
    if missing:
        raise KernelsUnavailableError(
            f"this build of torch has no {', '.join(missing)}, as it was made without MKL; install torch from PyPI"
        )
    table = (ctypes.c_void_p * len(names))(*(addresses.get(name) for name in names))
    kernels.take_torch_functions(table)
    return frozenset(addresses)
