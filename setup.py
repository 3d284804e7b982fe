"""Compile the kernels of the native engine at installation, if there is a C compiler; pyproject.toml says the rest."""

from __future__ import annotations

import os
import platform
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = Path("custom_ppo/engines/native")
LIBRARY = "custom_ppo.engines.native._kernels"
SOURCES: dict[str, Any] = runpy.run_path(str(Path(__file__).parent / NATIVE / "sources.py"))


def supported() -> bool:
    """Return True on the only platform that the kernels are written for: AVX2 instructions in a Linux library."""
    return sys.platform == "linux" and platform.machine() == "x86_64" and sys.maxsize > 2**32


def compiler() -> list[str]:
    """Return the command of the C compiler: $CC, else Python's own or a usual one; raise OSError if there is none."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    python_s = shlex.split(sysconfig.get_config_var("CC") or "")[:1]
    for name in (*python_s, "cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    raise OSError("there is no C compiler (gcc or clang)")


class BuildKernels(build_ext):
    """Compile the kernels; a failure prints one line and leaves them out, so that every installation succeeds.

    Not setuptools' own compilation, which needs the compiler that Python was built with and adds Python's flags.
    """

    def run(self) -> None:
        """Build as setuptools does, but without an error."""
        try:
            super().run()
        except Exception as error:  # whatever goes wrong, CustomPPO works without the kernels
            print(f"kernels: not compiled, so CustomPPO takes its slower engines: {error}", file=sys.stderr)

    def build_extension(self, ext: Extension) -> None:
        """Call the compiler once for all sources; raise OSError."""
        target = Path(self.get_ext_fullpath(ext.name))
        target.unlink(missing_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        command = compiler()
        options = [*SOURCES["FLAGS"], f'-DKERNELS_DIGEST="{SOURCES["digest"]()}"', "-shared", "-fPIC"]
        done = subprocess.run(
            [*command, *options, "-o", str(target), *ext.sources, "-lm"],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        sys.stderr.write(done.stderr)
        if done.returncode != 0:
            raise OSError(f"{shlex.join(command)} failed: {first_error(done.stderr)}")
        seconds = time.perf_counter() - started
        print(f"kernels: compiled {len(ext.sources)} sources with {shlex.join(command)} in {seconds:.1f} s")


def first_error(output: str) -> str:
    """Return the first line of a compiler's output that names an error, else the first line."""
    lines = output.splitlines() or ["no message"]
    return next((line for line in lines if "error" in line), lines[0])


kernels = Extension(
    LIBRARY,
    sources=[str(NATIVE / "kernels" / path.name) for path in SOURCES["source_files"](suffixes=(".c",))],
    depends=[str(NATIVE / "kernels" / path.name) for path in SOURCES["source_files"](suffixes=(".h",))],
    optional=True,
)
setup(ext_modules=[kernels] if supported() else [], cmdclass={"build_ext": BuildKernels})
