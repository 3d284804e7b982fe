"""Sources of the kernels and the flags of the compiler. setup.py runs this file alone: it imports nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["FLAGS", "SOURCES", "digest", "source_files"]

SOURCES = Path(__file__).with_name("kernels")
"""Folder of the C sources and their headers."""

FLAGS = (
    "-std=gnu11",
    "-O3",
    "-mavx2",
    "-mfma",
    "-ffp-contract=off",  # a product and a sum are rounded once only where the source says fmaf, as ATen does there
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-Wno-psabi",  # on vectors passed by value; the calls that need another instruction set are marked as such
)
"""Flags of the compiler that change the library."""


def source_files(folder: Path = SOURCES, *, suffixes: tuple[str, ...] = (".c", ".h")) -> list[Path]:
    """Return the sources with these suffixes, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.suffix in suffixes)


def digest(folder: Path = SOURCES) -> str:
    """Return the SHA-256 of the flags and of the names and contents of the sources, in hexadecimal digits."""
    found = hashlib.sha256(" ".join(FLAGS).encode())
    for path in source_files(folder):
        content = path.read_bytes()
        found.update(f"\n{path.name} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()
