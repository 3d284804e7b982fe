"""Every source is understood by every Python that is supported, as far as this machine has them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VERSIONS = ("3.11", "3.12", "3.13")
SOURCES = sorted(path for package in ("custom_ppo", "harness", "tests") for path in (ROOT / package).rglob("*.py"))

COMPILE = """
import sys
from pathlib import Path
for name in sys.argv[1:]:
    compile(Path(name).read_text(encoding="utf-8"), name, "exec")
"""

IMPORT_EVERYTHING = """
import importlib, pkgutil
for package in map(importlib.import_module, ("custom_ppo", "harness")):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def interpreter(version: str) -> str:
    """Return a Python of this version; skip the test if there is none."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = [shutil.which(f"python{version}")]
    found += [str(path) for path in sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))]
    usable = [path for path in found if path and run(path, "-c", "").returncode == 0]
    if not usable:
        pytest.skip(f"there is no Python {version} on this machine")
    return usable[-1]


def run(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_source_compiles(version: str) -> None:
    done = run(interpreter(version), "-W", "error::SyntaxWarning", "-c", COMPILE, *map(str, SOURCES))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_every_module_is_imported(version: str) -> None:
    python = interpreter(version)
    if run(python, "-c", "import torch, stable_baselines3, typer, pytest").returncode != 0:
        pytest.skip(f"Python {version} on this machine has no torch and stable_baselines3")
    done = run(python, "-c", IMPORT_EVERYTHING)
    assert done.returncode == 0, done.stderr


def test_the_versions_of_the_package_are_those_that_are_tried() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    listed = [line.rpartition(" ")[2] for line in project["classifiers"] if line.startswith("Programming Language")]
    assert [version for version in listed if "." in version] == list(VERSIONS)
