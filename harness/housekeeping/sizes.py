"""Bytes of files and folders; links are counted as links, not followed."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["size_of", "size_text"]


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; 0 for what does not exist or cannot be read."""
    try:
        if path.is_symlink() or not path.is_dir():
            return path.lstat().st_size
    except OSError:
        return 0
    total = 0
    for parent, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:  # removed since, by a run in progress
                continue
    return total


def size_text(n_bytes: float) -> str:
    """Return a size in decimal units: "812 B", "3.4 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 999.5:
            return f"{n_bytes:.0f} {unit}" if unit == "B" or n_bytes >= 99.5 else f"{n_bytes:.2g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:,.1f} TB"
