"""The example of the page about Python runs as a script, and importing the harness has no side effects."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_runs_as_a_script_without_guard(tmp_path: Path) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.py").write_text(source)

    output = python(tmp_path, "example.py")

    assert output.count("finished") == 6
    assert "custom_ppo    a2c" in re.sub(r" +", "    ", output)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "example.py", "results"]


def test_importing_the_harness_loads_nothing_and_leaves_no_trace(tmp_path: Path) -> None:
    code = (
        "import os, sys, threading\n"
        "before, variables = set(sys.modules), dict(os.environ)\n"
        "import harness\n"
        "assert dict(os.environ) == variables and threading.active_count() == 1\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))\n"
    )

    assert set(python(tmp_path, "-c", code).split()) - sys.stdlib_module_names == {"harness"}
    assert list(tmp_path.iterdir()) == []


def test_naming_the_functions_loads_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys\nfrom harness import Report, compare, evaluate, load_results\nprint(*sys.modules)\n"

    loaded = {name.partition(".")[0] for name in python(tmp_path, "-c", code).split()}

    assert loaded.isdisjoint({"torch", "pandas", "numpy", "matplotlib", "scipy", "gymnasium", "stable_baselines3"})
