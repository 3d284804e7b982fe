"""Machine and versions that a measurement depends on. torch is imported only by the function that describes it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from typing import Any

from harness.training.provenance import provenance, utc_now

__all__ = ["BUSY_LOAD", "describe", "load_average", "machine"]

BUSY_LOAD = 1.5
"""Load average of the last minute above which other programs take part in the measurement."""


def load_average() -> float | None:
    """Return the mean number of runnable processes in the last minute, or None where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def machine() -> dict[str, Any]:
    """Return processor, cores, load, versions, torch's CPU capability, compiler, and time, as plain data."""
    import torch

    affinity: Any = getattr(os, "sched_getaffinity", None)
    return {
        **provenance(),
        "system": platform.platform(),
        "cores": len(affinity(0)) if affinity is not None else os.cpu_count(),
        "load_average": load_average(),
        "torch_threads": 1,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "compiler": _compiler(),
        "time": utc_now(),
    }


def _compiler() -> str:
    """Return the first line of the C compiler's version, or "" if there is none."""
    command = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")
    if command is None:
        return ""
    try:
        answer = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.partition("\n")[0].strip()


def describe(found: dict[str, Any]) -> str:
    """Return the machine in two lines."""
    versions = found["versions"]
    names = {"python": "Python", "torch": "torch", "stable_baselines3": "SB3", "gymnasium": "Gymnasium"}
    load = found["load_average"]
    return (
        f"{found['cpu']}, {found['cores']} core{'s' if found['cores'] != 1 else ''}, "
        f"load average {'unknown' if load is None else f'{load:.2f}'}, one torch thread, {found['cpu_capability']}\n"
        + ", ".join(f"{label} {versions[name]}" for name, label in names.items() if name in versions)
        + f"; compiler: {found['compiler'] or 'none'}"
    )
