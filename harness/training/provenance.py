"""Provenance of a run: package versions, processor, commit of the harness, time, and the engine of the update."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import subprocess
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["engine_of", "provenance", "resources_used", "utc_now"]

PACKAGES = (
    "torch",
    "stable_baselines3",
    "sb3_contrib",
    "gymnasium",
    "numpy",
    "Box2D",
    "mujoco",
    "ale_py",
    "minigrid",
)
"""Packages whose versions are recorded, if they are installed."""


def utc_now() -> str:
    """Return the current time in UTC as ISO 8601 text, in whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@lru_cache(maxsize=1)
def provenance() -> dict[str, Any]:
    """Return the fields of a `RunRecord` that are needed to reproduce a run: versions, cpu, hardware, git_commit."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"versions": versions, "cpu": _cpu(), "hardware": _hardware(), "git_commit": _git_commit()}


def resources_used() -> dict[str, Any]:
    """Return the fields of a `RunRecord` with what this process and its child processes have used until now."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu_seconds = sum(usage.ru_utime + usage.ru_stime for usage in (own, children))
    # Linux counts in KiB. A forked process begins with the memory of the one it was forked from, which has torch.
    return {"cpu_seconds": round(cpu_seconds, 3), "peak_memory": own.ru_maxrss * 1024}


def engine_of(model: Any) -> dict[str, Any]:
    """Return the engine that updated a model and the state of its compiled kernels; empty for other algorithms.

    Keys: asked_for, used, note, kernels; read from the model's `engine_status`, as CustomPPO has it.
    """
    status = getattr(model, "engine_status", None)
    return dict(status()) if callable(status) else {}


def _cpu() -> str:
    """Return the model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _hardware() -> dict[str, Any]:
    """Return machine, system, number of cores of the machine, and its memory in bytes."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    system = f"{platform.system()} {platform.release()}"
    return {"machine": platform.machine(), "system": system, "cores": os.cpu_count() or 1, "memory": memory}


def _git_commit() -> str:
    """Return the commit of the harness's checkout, with "-dirty" if it has changes; empty outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
