"""Provenance of a run: package versions, processor, commit of the harness, time, and the engine of the update."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["engine_of", "provenance", "utc_now"]

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
    """Return the fields of a `RunRecord` that are needed to reproduce a run: versions, cpu, git_commit."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"versions": versions, "cpu": _cpu(), "git_commit": _git_commit()}


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


def _git_commit() -> str:
    """Return the commit of the harness's checkout, with "-dirty" if it has changes; empty outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
