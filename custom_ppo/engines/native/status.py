"""Status of the native engine on this machine, for records of runs and for bug reports."""

from __future__ import annotations

from typing import Any

import torch

from custom_ppo.engines.engine import Engine
from custom_ppo.engines.native import self_check
from custom_ppo.engines.native.agreement import ACTION_SPACES, kernels_agree
from custom_ppo.engines.native.library import VERIFIED_TORCH, load, reason_against_loading

__all__ = ["engine_name", "kernel_status", "missing_kernels_note", "self_check_outcome", "status_text"]


def engine_name(engine: Engine) -> str:
    """Return the name of an engine: "autograd", "fused" or "native"."""
    return type(engine).__name__.removesuffix("Engine").lower()


def missing_kernels_note(wanted: str, engine: Engine) -> str | None:
    """Return a line for the user if an update could take less time with the kernels, but they are not available.

    wanted: the engine that was asked for; engine: the one that was chosen.
    """
    reason = reason_against_loading() if (wanted, engine_name(engine)) == ("auto", "fused") else None
    return None if reason is None else f"engine: fused (native is not available: {reason})"


def self_check_outcome() -> str:
    """Return the outcome of all comparisons of the kernels with autograd in this process."""
    failed = [" ".join(" ".join(map(str, key)).split()) for key, agrees in self_check.results.items() if not agrees]
    if failed:
        return f"failed: {'; '.join(failed)}"
    return "ok" if self_check.results else "not run"


def kernel_status() -> dict[str, Any]:
    """Return the state of the kernels as plain JSON data; the library is loaded to find it out.

    Keys: available, reason (None if available), digest and compiler (None if not), torch, torch_verified,
    cpu_capability, threads, self_check ("not run", "ok", or "failed: " and the shapes).
    """
    reason = reason_against_loading()
    library = load() if reason is None else None
    version = torch.__version__
    return {
        "available": library is not None,
        "reason": reason,
        "digest": library.digest if library else None,
        "compiler": library.compiler if library else None,
        "torch": version,
        "torch_verified": version.partition("+")[0] in VERIFIED_TORCH,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "self_check": self_check_outcome(),
    }


def status_text() -> str:
    """Compare the kernels with autograd, and return their state as a few lines for a bug report."""
    status = kernel_status()
    lines = [("native engine", "available" if status["available"] else f"not available: {status['reason']}")]
    if status["available"]:
        library = load()
        lines += [
            ("library", str(library.path)),
            ("sources", status["digest"]),
            ("compiler", status["compiler"]),
            ("kernels", _agreement()),
        ]
    verified = "the kernels were compared with it" if status["torch_verified"] else "the kernels were made for others"
    lines += [
        ("torch", f"{status['torch']} ({verified})"),
        ("CPU capability", status["cpu_capability"]),
        ("threads", str(status["threads"])),
    ]
    return "\n".join(f"{name:<16}{value}" for name, value in lines)


def _agreement() -> str:
    """Return in words for which policies the kernels have autograd's bits; they are compared now."""
    differing = [str(space) for space in ACTION_SPACES if not kernels_agree(space)]
    if differing:
        return f"DO NOT AGREE with autograd for actions {' and '.join(differing)}, so they are not used there"
    return f"agree with autograd for actions {' and '.join(map(str, ACTION_SPACES))}"
