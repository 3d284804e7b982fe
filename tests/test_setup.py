"""Installation compiles the kernels where it can, and succeeds with one line of explanation where it cannot."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from custom_ppo.engines.native import sources
from tests.custom_ppo.engines.native.compiled import needs_compiler

ROOT = Path(__file__).parent.parent
NATIVE = Path("custom_ppo/engines/native")
NOT_COMPILED = "kernels: not compiled, so CustomPPO takes its slower engines: "
BUILD = ("setup.py", "--quiet", "build_ext", "--inplace")
pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="the kernels are not for this platform"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Copy what the installation needs, with a single C source, which compiles in no time."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    kernels = tmp_path / NATIVE / "kernels"
    kernels.mkdir(parents=True)
    for package in (tmp_path / "custom_ppo", tmp_path / "custom_ppo/engines", tmp_path / NATIVE):
        (package / "__init__.py").touch()
    shutil.copy(ROOT / NATIVE / "sources.py", tmp_path / NATIVE)
    for name in ("torch_math.c", "torch_math.h"):
        shutil.copy(ROOT / NATIVE / "kernels" / name, kernels)
    return tmp_path


def run(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the folder of the project, with further variables of the environment."""
    variables = {name: value for name, value in os.environ.items() if name not in ("CC", "PYTHONPATH")} | environment
    return subprocess.run(
        [sys.executable, *arguments], cwd=project, env=variables, capture_output=True, text=True, check=False
    )


def libraries(project: Path) -> list[str]:
    return [path.name for path in (project / NATIVE).glob("*.so")]


@needs_compiler
def test_the_kernels_are_compiled_with_the_digest_of_their_sources(project: Path) -> None:
    done = run(project, *BUILD)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("kernels: compiled 1 sources with ")
    (library,) = libraries(project)
    assert library.startswith("_kernels.cpython-")
    assert sources.digest(project / NATIVE / "kernels").encode() in (project / NATIVE / library).read_bytes()


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"CC": "/bin/false"}, "/bin/false failed: no message"),
        ({"CC": "/nowhere/cc"}, "[Errno 2] No such file or directory: '/nowhere/cc'"),
        ({"PATH": ""}, "there is no C compiler (gcc or clang)"),
    ],
)
def test_a_machine_without_a_compiler_is_told_so_in_one_line(
    project: Path, environment: dict[str, str], reason: str
) -> None:
    done = run(project, *BUILD, **environment)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"{NOT_COMPILED}{reason}\n")
    assert libraries(project) == []


@needs_compiler
def test_a_mistake_in_a_kernel_is_named_and_stops_no_installation(project: Path) -> None:
    (project / NATIVE / "kernels/wrong.c").write_text("int f(void) { return }\n")

    done = run(project, *BUILD)

    last = done.stderr.splitlines()[-1]
    assert done.returncode == 0
    assert last.startswith(NOT_COMPILED)
    assert f" failed: {NATIVE}/kernels/wrong.c:1:" in last
    assert "error: expected expression" in last
    assert libraries(project) == []


def test_other_processors_are_installed_without_trying(project: Path) -> None:
    pretend = f"import platform, runpy, sys; platform.machine = lambda: 'aarch64'; sys.argv = {list(BUILD)!r}"
    done = run(project, "-c", f"{pretend}; runpy.run_path('setup.py', run_name='__main__')", CC="/bin/false")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("compiler", [pytest.param("cc", marks=needs_compiler), "/bin/false"])
def test_a_wheel_has_the_sources_and_only_a_library_that_compiled(project: Path, compiler: str) -> None:
    done = run(project, "setup.py", "--quiet", "bdist_wheel", CC=compiler)

    assert done.returncode == 0, done.stderr
    (wheel,) = (project / "dist").iterdir()
    names = [name.removeprefix(f"{NATIVE}/") for name in zipfile.ZipFile(wheel).namelist()]
    assert {"sources.py", "kernels/torch_math.c", "kernels/torch_math.h"} <= set(names)
    assert [name.split(".")[0] for name in names if name.endswith(".so")] == (
        [] if compiler == "/bin/false" else ["_kernels"]
    )


def test_the_digest_depends_on_names_contents_and_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.c").write_text("int a;")
    (tmp_path / "notes.txt").write_text("nothing")
    digests = [sources.digest(tmp_path)]
    (tmp_path / "notes.txt").unlink()
    assert sources.digest(tmp_path) == digests[0]

    (tmp_path / "a.c").write_text("int b;")
    digests.append(sources.digest(tmp_path))
    (tmp_path / "a.c").rename(tmp_path / "b.c")
    digests.append(sources.digest(tmp_path))
    (tmp_path / "b.h").touch()
    digests.append(sources.digest(tmp_path))
    monkeypatch.setattr(sources, "FLAGS", (*sources.FLAGS, "-g"))
    digests.append(sources.digest(tmp_path))
    assert len(set(digests)) == 5
