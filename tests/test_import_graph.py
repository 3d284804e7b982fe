"""The arrows between modules, which go one way: an import against them is reported with its file and line."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# From a module of custom_ppo to what it may import of custom_ppo.
CUSTOM_PPO: Mapping[str, set[str]] = {
    "__init__": {"config", "recipe", "sb3"},
    "config": set(),
    "memory": set(),
    "gae": set(),
    "losses": set(),
    "distributions": set(),
    "extractors": {"config", "memory"},
    "networks": {"distributions", "extractors", "memory"},
    "recipe": {"config", "gae", "losses", "networks"},
    "agent": {"config", "gae", "losses", "memory", "recipe"},
    "fusible": {"extractors", "networks", "recipe"},
    "fused": {"agent", "config", "distributions", "fusible", "losses", "memory", "networks", "recipe"},
    "sb3": {"agent", "config", "extractors", "fused", "fusible", "memory", "networks", "recipe", "sb3"},
}

# The lowest first: a part of harness may import itself and what stands in an earlier line, and stats only itself.
# What is not named (callbacks, envs, ...) belongs to training, and is for `train` and those who come after it.
LAYERS = (("errors",), ("config",), ("plan",), ("records",), ("frames",), ("tables", "plots"))
LIGHT = ("errors", "config", "plan", "records", "frames", "stats", "tables", "plots", "reporting")
"""Parts that read and draw: they load in a second on a laptop, as they know nothing that trains."""
ABOVE: Mapping[str, set[str]] = {"train": {"executors", "cli"}, "executors": {"cli"}}
"""From a part that trains to those that are above it."""
HEAVY = ("torch", "stable_baselines3", "sb3_contrib", "gymnasium", "rl_zoo3")


@dataclass(frozen=True)
class Import:
    file: str
    line: int
    module: str
    """Dotted name of what is imported; for `from a import b` it is a.b, which may be a module or a name in one."""

    def violates(self, rule: str) -> str:
        return f"{self.file}:{self.line}: imports {self.module}, but {rule}"

    def of(self, package: str) -> str | None:
        """The part of the package that is imported: "plan" for harness.plan.RunSpec of harness; None elsewhere."""
        head, _, rest = self.module.partition(".")
        return (rest.split(".")[0] or "__init__") if head == package else None


def imports_of(path: Path, root: Path) -> Iterator[Import]:
    """Every import of a file, wherever it stands; one for type checking only is an arrow in the reader's head too."""
    file = str(path.relative_to(root))
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), file)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join((*base, *([node.module] if node.module else [])))
            for alias in node.names:
                yield Import(file, node.lineno, f"{origin}.{alias.name}")


def part_of(path: Path, root: Path) -> str:
    """The part of its package that a file belongs to: "stats" for harness/stats/power.py."""
    return path.relative_to(root).parts[1].removesuffix(".py")


def custom_ppo_violations(root: Path) -> Iterator[str]:
    for path in sorted((root / "custom_ppo").rglob("*.py")):
        module = part_of(path, root)
        allowed = CUSTOM_PPO.get(module, set())
        for found in imports_of(path, root):
            target = found.of("custom_ppo")
            if target is not None and target not in allowed:
                names = ", ".join(sorted(allowed)) or "nothing"
                yield found.violates(f"{module} may import {names} of custom_ppo")
            if found.of("stable_baselines3") is not None and module != "sb3":
                yield found.violates("only custom_ppo/sb3 may know stable_baselines3")
            if found.of("harness") is not None:
                yield found.violates("the algorithm does not know the harness")


def harness_violations(root: Path) -> Iterator[str]:
    rank = {part: height for height, parts in enumerate(LAYERS) for part in parts}
    for path in sorted((root / "harness").rglob("*.py")):
        part = part_of(path, root)
        for found in imports_of(path, root):
            if part in LIGHT:
                if any(found.of(package) is not None for package in HEAVY):
                    yield found.violates(f"{part} must not know what trains")
                if found.of("custom_ppo") is not None:
                    yield found.violates(f"{part} must not know an algorithm")
            target = found.of("harness")
            if target in (None, part, "__init__"):
                continue
            if part == "stats":
                yield found.violates("stats knows only arrays")
            elif target in ABOVE.get(part, ()):
                yield found.violates(f"{target} stands above {part}")
            elif part == "reporting":
                if target not in LIGHT:
                    yield found.violates("reporting may import only what reads and draws")
            elif part in rank:
                known = target in rank and rank[target] < rank[part]
                if not known and not (target == "stats" and rank[part] > rank["records"]):
                    yield found.violates(f"{part} may import only what stands below it")


def test_custom_ppos_arrows_go_one_way() -> None:
    assert list(custom_ppo_violations(ROOT)) == []


def test_every_module_of_custom_ppo_has_its_place() -> None:
    assert {part_of(path, ROOT) for path in (ROOT / "custom_ppo").rglob("*.py")} == set(CUSTOM_PPO)


def test_harnesss_arrows_go_one_way() -> None:
    assert list(harness_violations(ROOT)) == []


@pytest.mark.parametrize(
    ("file", "source", "violation"),
    [
        (
            "custom_ppo/gae.py",
            "import numpy\n\nfrom custom_ppo.agent import PPOAgent\n",
            "custom_ppo/gae.py:3: imports custom_ppo.agent.PPOAgent, but gae may import nothing of custom_ppo",
        ),
        (
            "custom_ppo/recipe.py",
            "from . import fused\n",
            "custom_ppo/recipe.py:1: imports custom_ppo.fused, "
            "but recipe may import config, gae, losses, networks of custom_ppo",
        ),
        (
            "custom_ppo/agent.py",
            "def f():\n    import stable_baselines3.common\n",
            "custom_ppo/agent.py:2: imports stable_baselines3.common, "
            "but only custom_ppo/sb3 may know stable_baselines3",
        ),
        (
            "custom_ppo/sb3.py",
            "from harness.plan import RunSpec\n",
            "custom_ppo/sb3.py:1: imports harness.plan.RunSpec, but the algorithm does not know the harness",
        ),
        (
            "harness/config/loader.py",
            "from harness.plan import RunSpec\n",
            "harness/config/loader.py:1: imports harness.plan.RunSpec, but config may import only what stands below it",
        ),
        (
            "harness/plan.py",
            "from .train import train_run\n",
            "harness/plan.py:1: imports harness.train.train_run, but plan may import only what stands below it",
        ),
        (
            "harness/stats/power.py",
            "from ..frames import load_results\n",
            "harness/stats/power.py:1: imports harness.frames.load_results, but stats knows only arrays",
        ),
        (
            "harness/plots/style.py",
            "import os, torch\n",
            "harness/plots/style.py:1: imports torch, but plots must not know what trains",
        ),
        (
            "harness/frames/files.py",
            "from custom_ppo import CustomPPO\n",
            "harness/frames/files.py:1: imports custom_ppo.CustomPPO, but frames must not know an algorithm",
        ),
        (
            "harness/reporting.py",
            "from harness.train import train_run\n",
            "harness/reporting.py:1: imports harness.train.train_run, "
            "but reporting may import only what reads and draws",
        ),
        (
            "harness/train.py",
            "import torch\n\nfrom harness import executors\n",
            "harness/train.py:3: imports harness.executors, but executors stands above train",
        ),
        ("harness/plots/curves.py", "from harness.stats import iqm\nfrom harness.frames import Results\n", None),
        ("harness/stats/verdict.py", "from harness.stats.power import power\nfrom . import samples\n", None),
        ("harness/train.py", "import torch\nfrom harness.records import RunRecord\n", None),
        ("custom_ppo/fused.py", "import torch\nfrom custom_ppo.agent import LossTerms\n", None),
    ],
)
def test_a_planted_import_is_reported_with_its_line(
    tmp_path: Path, file: str, source: str, violation: str | None
) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    found = [*custom_ppo_violations(tmp_path), *harness_violations(tmp_path)]
    assert found == ([violation] if violation else [])


def modules_after(statement: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def importable(names: tuple[str, ...]) -> str:
    """An import of those parts of harness that exist."""
    package = ROOT / "harness"
    exist = [name for name in names if (package / f"{name}.py").exists() or (package / name / "__init__.py").exists()]
    assert exist
    return "import " + ", ".join(f"harness.{name}" for name in exist)


def test_what_reads_and_draws_loads_nothing_that_trains() -> None:
    assert modules_after(importable(LIGHT)).isdisjoint(HEAVY)


def test_the_command_line_loads_nothing_heavy_before_it_knows_the_command() -> None:
    assert modules_after(importable(("cli",))).isdisjoint({*HEAVY, "matplotlib", "seaborn", "scipy", "pandas"})


def test_the_statistics_need_numpy_and_scipy_only() -> None:
    assert modules_after("import harness.stats").isdisjoint({*HEAVY, "pandas", "matplotlib", "seaborn", "yaml"})


def test_the_algorithm_loads_without_stable_baselines3() -> None:
    loaded = modules_after("import custom_ppo, custom_ppo.agent, custom_ppo.fused, custom_ppo.recipe")
    assert "torch" in loaded
    assert loaded.isdisjoint({"stable_baselines3", "harness", "pandas", "matplotlib"})
