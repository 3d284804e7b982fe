"""Stable-Baselines3's own tests with its PPO replaced by CustomPPO.

    python -m tests.custom_ppo.sb3_suite --tests PATH        # PATH: a checkout of SB3, which holds the folder `tests`

Runs the tests that construct a PPO, once with SB3's PPO and once with CustomPPO, and lists those that only SB3's PPO
passes. Exit code 1 if there are any. This file is also the pytest plugin of the two runs.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SUBJECT, RESULTS = "SB3_SUITE_SUBJECT", "SB3_SUITE_RESULTS"
"""Environment variables that tell the plugin which class is PPO ("sb3" or "custom"), and where results go."""

constructed: list[Any] = []
"""PPOs that the current test has constructed, also by load()."""


def run(checkout: Path, subject: str, more: list[str]) -> dict[str, dict[str, Any]]:
    """Return outcome, message and number of constructed PPOs of every test that may construct one."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        # `-c` keeps this project's settings out. The plugin is a top-level module, as SB3 has a package `tests` too.
        command = [sys.executable, "-m", "pytest", "tests", "-q", "-c", os.devnull, "--rootdir", "."]
        paths = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
        environment = {**os.environ, SUBJECT: subject, RESULTS: str(results), "PYTHONPATH": paths}
        subprocess.run([*command, "-p", "sb3_suite", *more], cwd=checkout, env=environment, check=False)
        found: dict[str, dict[str, Any]] = json.loads(results.read_text())
    return found


def report(theirs: Mapping[str, Mapping[str, Any]], ours: Mapping[str, Mapping[str, Any]]) -> int:
    """Print the tests that only SB3's PPO passes, and return how many they are."""
    counted = [name for name, result in theirs.items() if result["outcome"] == "passed" and result["constructed"]]
    reasons = {name: reason for name in counted if (reason := reason_against(ours.get(name)))}
    for name, reason in reasons.items():
        print(f"{name}: {reason}")
    passed = len(counted) - len(reasons)
    print(f"CustomPPO passes {passed} of the {len(counted)} tests that construct a PPO and that SB3's passes")
    return len(reasons)


def reason_against(result: Mapping[str, Any] | None) -> str:
    """Return why a test does not count as passed, or ""."""
    if result is None:
        return "not run"
    if result["outcome"] != "passed":
        return result["message"] or str(result["outcome"])
    return "" if result["constructed"] else "no CustomPPO was constructed"


def main() -> int:
    parser = argparse.ArgumentParser(description="Run SB3's own tests with its PPO replaced by CustomPPO.")
    parser.add_argument("--tests", type=Path, required=True, help="a checkout of SB3 at the installed version")
    arguments, more = parser.parse_known_args()
    if not (arguments.tests / "tests").is_dir():
        parser.error(f"--tests {arguments.tests}: there is no folder tests in it, expected a checkout of SB3")
    return 1 if report(*(run(arguments.tests, subject, more) for subject in ("sb3", "custom"))) else 0


# The plugin


def pytest_configure() -> None:
    """Exchange the class before any test module imports it."""
    if SUBJECT not in os.environ:
        return
    import stable_baselines3
    from stable_baselines3.common.base_class import BaseAlgorithm

    from custom_ppo import CustomPPO

    ppo: Any = CustomPPO if os.environ[SUBJECT] == "custom" else stable_baselines3.PPO
    for module in (stable_baselines3, stable_baselines3.ppo, stable_baselines3.ppo.ppo):
        module.PPO = ppo
    original = BaseAlgorithm.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(self, ppo):
            constructed.append(type(self))
        original(self, *args, **kwargs)

    BaseAlgorithm.__init__ = init  # type: ignore[method-assign]


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Leave out what cannot construct a PPO: tests of other algorithms, and those that do not mention it."""
    kept = [item for item in items if may_construct(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def may_construct(item: Any) -> bool:
    import stable_baselines3
    from stable_baselines3.common.base_class import BaseAlgorithm

    parameters = getattr(item, "callspec", None)
    values = list(parameters.params.values()) if parameters else []
    values += [part for value in values if isinstance(value, (list, tuple)) for part in value]
    algorithms = [value for value in values if isinstance(value, type) and issubclass(value, BaseAlgorithm)]
    if algorithms:
        return any(issubclass(found, stable_baselines3.PPO) for found in algorithms)
    texts = (inspect.getsource(item.function), *map(str, values))
    return any(re.search(r"PPO|\bppo\b", text) for text in texts)


def name_of(node_id: str) -> str:
    """Name of a test, whichever class is its parameter."""
    return node_id.replace("CustomPPO", "PPO")


outcomes: dict[str, dict[str, Any]] = {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: Any) -> Any:
    constructed.clear()
    yield
    outcomes.setdefault(name_of(item.nodeid), {"outcome": "missing", "message": ""})["constructed"] = len(constructed)


def pytest_runtest_logreport(report: Any) -> None:
    if report.when == "call" or report.outcome != "passed":
        lines = str(report.longrepr).splitlines() if report.failed else [""]
        message = next((line for line in lines if line.startswith("E ")), lines[-1])
        outcomes[name_of(report.nodeid)] = {"outcome": report.outcome, "message": message}


def pytest_sessionfinish() -> None:
    if RESULTS in os.environ:
        Path(os.environ[RESULTS]).write_text(json.dumps(outcomes))


if __name__ == "__main__":
    sys.exit(main())
