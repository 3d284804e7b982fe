"""Compile the kernels, or a library that stands for torch's, for one test."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from custom_ppo.engines.native import sources

C_COMPILER = next((found for found in map(shutil.which, ("cc", "gcc", "clang")) if found), None)
needs_compiler = pytest.mark.skipif(
    C_COMPILER is None or sys.platform != "linux", reason="there is no C compiler for Linux on this machine"
)


def compile_c(library: Path, *files: Path, digest: str = "0" * 64) -> Path:
    """Compile C files into a library, and return its path."""
    assert C_COMPILER is not None
    command = [C_COMPILER, *sources.FLAGS, f'-DKERNELS_DIGEST="{digest}"', "-shared", "-fPIC", "-o", str(library)]
    subprocess.run([*command, *map(str, files), "-lm"], check=True)
    return library


def compile_kernels(library: Path, *, replace: tuple[str, str] = ("", ""), digest: str = "0" * 64) -> Path:
    """Compile the kernels into a library, and return its path; replace: text of the sources, and what stands for it."""
    folder = library.with_suffix(".sources")
    shutil.copytree(sources.SOURCES, folder)
    files = sources.source_files(folder, suffixes=(".c",))
    if replace != ("", ""):
        assert any(replace[0] in file.read_text() for file in files), f"no kernel contains {replace[0]!r}"
        for file in files:
            file.write_text(file.read_text().replace(*replace))
    return compile_c(library, *files, digest=digest)
