"""Allowed imports between the modules, which form no circle; a forbidden import is reported with its file and line."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Module of custom_ppo -> modules of custom_ppo that it may import.
CUSTOM_PPO: Mapping[str, set[str]] = {
    "__init__": {"config", "recipe", "sb3"},
    "config": set(),
    "memory": set(),
    "gae": set(),
    "losses": set(),
    "distributions": set(),
    "extractors": {"config", "memory"},
    "diagnostics": {"memory"},
    "networks": {"distributions", "extractors", "memory"},
    "recipe": {"config", "gae", "losses", "memory", "networks"},
    "engines": {"config", "distributions", "engines", "extractors", "losses", "memory", "networks", "recipe"},
    "agent": {"config", "diagnostics", "engines", "memory", "networks", "recipe"},
    "rollout": {"agent", "memory"},
    "minimal": {"agent", "config", "memory", "networks", "recipe", "rollout"},
    "sb3": {
        "agent", "config", "diagnostics", "engines", "extractors", "gae", "memory", "networks", "recipe", "rollout",
        "sb3",
    },
}  # fmt: skip

# Area of harness -> areas that it may import, beside itself. An area is a module, or a package without those parts that
# are areas themselves: `analysis.stats` does not belong to the area `analysis`.
HARNESS: Mapping[str, set[str]] = {
    "errors": set(),
    "printable": set(),
    # The catalogue loads torch: config imports it inside the function that expands `deviations`, and nowhere else.
    "config": {"errors", "catalogue"},
    "experiment": {"errors", "config", "printable"},
    "analysis.stats": set(),
    "analysis.frames": {"errors", "experiment"},
    "analysis.tables": {"config", "experiment", "analysis.frames", "analysis.stats"},
    "analysis.plots": {"experiment", "analysis.frames", "analysis.stats"},
    "analysis.page": {
        "errors", "config", "experiment", "analysis.plots", "analysis.stats", "analysis.tables",
    },
    "analysis": {
        "errors", "config", "experiment", "analysis.frames", "analysis.page", "analysis.plots", "analysis.stats",
        "analysis.tables",
    },
    "stats": {"analysis.stats"},
    "training": {"errors", "config", "experiment", "printable"},
    "training.executors": {"errors", "experiment", "printable", "training"},
    "execution": {"errors", "config", "training.executors"},
    "evaluation": {
        "errors", "config", "experiment", "printable", "training", "training.executors", "analysis.stats",
        "housekeeping",
    },
    "housekeeping": {"errors", "experiment", "printable", "training.executors"},
    "bench": {"errors", "config", "experiment", "training", "training.executors"},
    "catalogue": {"errors"},
    "checks": {"errors", "catalogue"},
    "crosscheck.quantities": set(),
    "crosscheck.environments": set(),
    "crosscheck.profiles": {"errors", "experiment", "training"},
    "crosscheck.tracing.trace": {"crosscheck.quantities"},
    "crosscheck.tracing": {
        "errors", "training", "crosscheck.environments", "crosscheck.profiles", "crosscheck.quantities",
        "crosscheck.tracing.trace",
    },
    "crosscheck.comparing.intermediates": {"crosscheck.quantities"},
    "crosscheck.comparing.divergence": {"crosscheck.quantities"},
    "crosscheck.comparing": {
        "crosscheck.comparing.divergence", "crosscheck.comparing.intermediates", "crosscheck.quantities",
        "crosscheck.tracing.trace",
    },
    "crosscheck.explaining": {
        "catalogue", "crosscheck.comparing", "crosscheck.comparing.divergence", "crosscheck.profiles",
        "crosscheck.quantities", "crosscheck.tracing", "crosscheck.tracing.trace",
    },
    "crosscheck.reporting": {
        "catalogue", "crosscheck.comparing", "crosscheck.comparing.divergence", "crosscheck.explaining",
        "crosscheck.quantities", "crosscheck.tracing.trace",
    },
    "crosscheck": {
        "errors", "catalogue", "checks", "analysis.plots", "training", "training.executors",
        "crosscheck.comparing", "crosscheck.comparing.divergence", "crosscheck.environments", "crosscheck.explaining",
        "crosscheck.profiles", "crosscheck.quantities", "crosscheck.reporting", "crosscheck.tracing",
        "crosscheck.tracing.trace",
    },
    "overview": {"config", "experiment", "training"},
    "validation": {"config", "experiment", "training", "training.executors"},
    "main_job": {"errors", "config", "experiment", "printable", "training.executors", "analysis"},
    "verification": {"errors", "config", "experiment", "main_job", "printable", "training.executors"},
    "api": {
        "errors", "config", "experiment", "analysis", "analysis.frames", "analysis.plots", "analysis.tables",
        "evaluation", "execution", "main_job", "validation",
    },
    "__init__": {"api"},
    "pytest_plugin": {
        "errors", "catalogue", "checks", "training", "crosscheck", "crosscheck.profiles", "crosscheck.reporting"
    },
    "zoo": {"config", "training"},
    "cli": {
        "errors", "config", "experiment", "execution", "training.executors", "bench", "analysis", "main_job",
        "crosscheck", "overview", "validation", "verification", "evaluation", "housekeeping",
    },
    "__main__": {"cli"},
}  # fmt: skip
LIGHT = ("errors", "printable", "config", "experiment", "analysis", "stats")
"""Packages that plan, read and draw: they load in a second, because they import nothing that trains."""
HEAVY = ("torch", "stable_baselines3", "sb3_contrib", "gymnasium", "rl_zoo3")
MAY_IMPORT_CUSTOM_PPO = ("catalogue", "checks", "crosscheck")
"""Areas that may import custom_ppo; all others refer to algorithms by name only."""


@dataclass(frozen=True)
class Import:
    file: str
    line: int
    module: str
    """Dotted name of the import; a.b for `from a import b`, where b is a module or a name in one."""

    def violates(self, rule: str) -> str:
        """Return the message for an import that breaks a rule."""
        return f"{self.file}:{self.line}: imports {self.module}, but {rule}"

    def part_of(self, package: str) -> str | None:
        """Return the imported part of a package: "config" for harness.config.load_config; None for other packages."""
        head, _, rest = self.module.partition(".")
        return (rest.split(".")[0] or "__init__") if head == package else None


def imports_of(path: Path, root: Path) -> Iterator[Import]:
    """Yield every import of a file, including those inside functions and for type checking only."""
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


def part_of_file(path: Path, root: Path) -> str:
    """Return the part of its package that a file belongs to: "config" for harness/config/rules.py."""
    return path.relative_to(root).parts[1].removesuffix(".py")


def custom_ppo_violations(root: Path) -> Iterator[str]:
    for path in sorted((root / "custom_ppo").rglob("*.py")):
        module = part_of_file(path, root)
        allowed = CUSTOM_PPO.get(module, set())
        for found in imports_of(path, root):
            target = found.part_of("custom_ppo")
            if target is not None and target not in allowed:
                names = ", ".join(sorted(allowed)) or "nothing"
                yield found.violates(f"{module} may import {names} of custom_ppo")
            if found.part_of("stable_baselines3") is not None and module != "sb3":
                yield found.violates("only custom_ppo/sb3 may import stable_baselines3")
            if found.part_of("harness") is not None:
                yield found.violates("custom_ppo may not import the harness")


def area_of(module: str) -> str:
    """Return the area of a dotted name below harness: "analysis.stats" for analysis.stats.power.power."""
    names = [area for area in HARNESS if module == area or module.startswith(f"{area}.")]
    return max(names, key=len, default="")


def harness_violations(root: Path) -> Iterator[str]:
    for path in sorted((root / "harness").rglob("*.py")):
        area = area_of(".".join(path.relative_to(root / "harness").with_suffix("").parts))
        for found in imports_of(path, root):
            package = area.split(".")[0]
            if package in LIGHT and any(found.part_of(name) is not None for name in HEAVY):
                yield found.violates(f"{package} must load without packages that train")
            if found.part_of("custom_ppo") is not None and package not in MAY_IMPORT_CUSTOM_PPO:
                yield found.violates(f"{package} must refer to algorithms by name only")
            target = area_of(found.module.removeprefix("harness.")) if found.part_of("harness") else ""
            if target and target != area and target not in HARNESS.get(area, set()):
                yield found.violates(f"{area} may import {', '.join(sorted(HARNESS[area])) or 'nothing'} of harness")


def test_custom_ppo_has_no_forbidden_import() -> None:
    assert list(custom_ppo_violations(ROOT)) == []


def test_every_module_of_custom_ppo_is_in_the_table() -> None:
    assert {part_of_file(path, ROOT) for path in (ROOT / "custom_ppo").rglob("*.py")} == set(CUSTOM_PPO)


def test_the_harness_has_no_forbidden_import() -> None:
    assert list(harness_violations(ROOT)) == []


def test_every_module_of_the_harness_is_in_the_table() -> None:
    modules = {
        ".".join(path.relative_to(ROOT / "harness").with_suffix("").parts) for path in (ROOT / "harness").rglob("*.py")
    }
    assert sorted(module for module in modules - {"__init__"} if not area_of(module)) == []
    assert sorted(area for area in HARNESS if area not in {area_of(module) for module in modules}) == []


def test_the_areas_of_the_harness_form_no_circle() -> None:
    seen: dict[str, set[str]] = {}

    def below(area: str, path: tuple[str, ...] = ()) -> set[str]:
        assert area not in path, f"a circle of imports: {' -> '.join((*path, area))}"
        if area not in seen:
            seen[area] = set().union(*({part} | below(part, (*path, area)) for part in HARNESS[area]))
        return seen[area]

    for area in HARNESS:
        below(area)


def module_graph(root: Path, package: str) -> dict[str, set[str]]:
    """Modules of a package -> those of it that they import; an import of a name is one of the module it stands in."""
    files = sorted((root / package).rglob("*.py"))
    modules = {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in files}
    return {
        module: {
            next((name for name in (found.module, found.module.rpartition(".")[0]) if name in modules), module)
            for found in imports_of(path, root)
        }
        - {module}
        for module, path in modules.items()
    }


def circles(graph: Mapping[str, set[str]]) -> set[str]:
    """Modules that import themselves through others."""
    left = {module: set(imported) for module, imported in graph.items()}
    while free := {module for module, imported in left.items() if not imported & left.keys()}:
        left = {module: imported for module, imported in left.items() if module not in free}
    return set(left)


def test_crosschecks_modules_are_in_no_circle() -> None:
    graph = module_graph(ROOT, "harness/crosscheck")

    assert len(graph) > 30
    assert circles(graph) == set()


def test_a_circle_of_two_modules_is_found_though_types_alone_need_it(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package/a.py").write_text("if TYPE_CHECKING:\n    from package.b import B\n")
    (tmp_path / "package/b.py").write_text("from package.a import A\nfrom package import c\n")
    (tmp_path / "package/c.py").write_text("import os\n")

    assert circles(module_graph(tmp_path, "package")) == {"package.a", "package.b"}


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
            "from . import engines\n",
            "custom_ppo/recipe.py:1: imports custom_ppo.engines, "
            "but recipe may import config, gae, losses, memory, networks of custom_ppo",
        ),
        (
            "custom_ppo/agent.py",
            "def f():\n    import stable_baselines3.common\n",
            "custom_ppo/agent.py:2: imports stable_baselines3.common, "
            "but only custom_ppo/sb3 may import stable_baselines3",
        ),
        (
            "custom_ppo/sb3.py",
            "from harness.experiment.plan import RunSpec\n",
            "custom_ppo/sb3.py:1: imports harness.experiment.plan.RunSpec, but custom_ppo may not import the harness",
        ),
        (
            "harness/config/loader.py",
            "from harness.experiment.plan import RunSpec\n",
            "harness/config/loader.py:1: imports harness.experiment.plan.RunSpec, "
            "but config may import catalogue, errors of harness",
        ),
        (
            "harness/experiment/plan.py",
            "from ..training.train import train_run\n",
            "harness/experiment/plan.py:1: imports harness.training.train.train_run, "
            "but experiment may import config, errors, printable of harness",
        ),
        (
            "harness/analysis/stats/power.py",
            "from ..frames import load_results\n",
            "harness/analysis/stats/power.py:1: imports harness.analysis.frames.load_results, "
            "but analysis.stats may import nothing of harness",
        ),
        (
            "harness/analysis/plots/style.py",
            "import os, torch\n",
            "harness/analysis/plots/style.py:1: imports torch, but analysis must load without packages that train",
        ),
        (
            "harness/analysis/frames/files.py",
            "from custom_ppo import CustomPPO\n",
            "harness/analysis/frames/files.py:1: imports custom_ppo.CustomPPO, "
            "but analysis must refer to algorithms by name only",
        ),
        (
            "harness/training/train.py",
            "import torch\n\nfrom harness.training import executors\n",
            "harness/training/train.py:3: imports harness.training.executors, "
            "but training may import config, errors, experiment, printable of harness",
        ),
        (
            "harness/crosscheck/tracing/trace.py",
            "from harness.crosscheck.comparing.divergence import Divergence\n",
            "harness/crosscheck/tracing/trace.py:1: imports harness.crosscheck.comparing.divergence.Divergence, "
            "but crosscheck.tracing.trace may import crosscheck.quantities of harness",
        ),
        (
            "harness/analysis/plots/a.py",
            "from harness.analysis.stats import iqm\nimport harness.analysis.frames\n",
            None,
        ),
        ("harness/analysis/stats/verdict.py", "from harness.analysis.stats.power import power\n", None),
        ("harness/training/train.py", "import torch\nfrom harness.experiment.run_records import RunRecord\n", None),
        ("custom_ppo/engines/fused.py", "import torch\nfrom custom_ppo.engines.engine import LossTerms\n", None),
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
    """Return the top-level packages that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def importable(names: tuple[str, ...]) -> str:
    """Return a statement that imports those parts of harness that exist."""
    package = ROOT / "harness"
    exist = [name for name in names if (package / f"{name}.py").exists() or (package / name / "__init__.py").exists()]
    assert exist
    return "import " + ", ".join(f"harness.{name}" for name in exist)


def test_packages_that_plan_read_and_draw_load_nothing_that_trains() -> None:
    assert modules_after(importable(LIGHT)).isdisjoint(HEAVY)


def test_the_command_line_loads_nothing_heavy_before_a_command_runs() -> None:
    assert modules_after(importable(("cli",))).isdisjoint({*HEAVY, "matplotlib", "seaborn", "scipy", "pandas"})


def test_the_statistics_load_numpy_and_scipy_only() -> None:
    assert modules_after("import harness.stats").isdisjoint({*HEAVY, "pandas", "matplotlib", "seaborn", "yaml"})


def test_the_algorithm_loads_without_stable_baselines3() -> None:
    loaded = modules_after("import custom_ppo, custom_ppo.engines, custom_ppo.minimal, custom_ppo.recipe")
    assert "torch" in loaded
    assert loaded.isdisjoint({"stable_baselines3", "harness", "pandas", "matplotlib"})
