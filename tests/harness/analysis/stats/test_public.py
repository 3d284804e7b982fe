import ast
import subprocess
import sys
from pathlib import Path

import pytest

from harness.analysis import stats

MODULES = sorted(Path(stats.__file__).parent.glob("*.py"))


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_every_public_name_exists_and_is_listed_in_order():
    assert list(stats.__all__) == sorted(stats.__all__, key=lambda name: (not name.isupper(), name))
    assert [name for name in stats.__all__ if not hasattr(stats, name)] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_statistics_import_nothing_of_the_harness_but_themselves(path):
    ours = [name for name in imported(path) if name.split(".")[0] == "harness"]
    assert [name for name in ours if not name.startswith("harness.analysis.stats")] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_statistic_touches_the_global_random_state(path):
    allowed = {"Generator", "default_rng"}
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "random"
    ]
    assert set(names) <= allowed
    calls = [node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    assert all(call.args for call in calls if call.func.attr == "default_rng"), "a generator without a seed"


def test_importing_the_statistics_loads_no_training_library():
    code = (
        "import sys, harness.stats; print([m for m in ('torch', 'stable_baselines3', 'gymnasium') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
