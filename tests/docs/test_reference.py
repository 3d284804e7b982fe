"""The site is built without complaint, and a public name without a docstring or a page is reported."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def module_of_docs(name: str) -> ModuleType:
    """Return a Python file of docs/, which is no package, as a module."""
    pytest.importorskip("mkdocstrings")
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def problems(root: Path, *shown: str) -> list[str]:
    return list(module_of_docs("hooks").undocumented(root, shown))


def write_packages(root: Path, harness: str) -> None:
    (root / "custom_ppo").mkdir()
    (root / "custom_ppo" / "__init__.py").write_text('"""Nothing."""\n')
    (root / "harness").mkdir()
    (root / "harness" / "__init__.py").write_text('"""Nothing."""\n')
    (root / "harness" / "part").mkdir()
    (root / "harness" / "part" / "__init__.py").write_text(harness)


def test_every_public_name_has_a_docstring_and_a_place_in_the_reference() -> None:
    hooks = module_of_docs("hooks")
    assert list(hooks.undocumented(ROOT, hooks.reference_pages(ROOT / "docs"))) == []


def test_a_name_without_a_docstring_is_reported(tmp_path: Path) -> None:
    source = '"""A part."""\n__all__ = ["A", "LIMIT", "f"]\nLIMIT = 1\ndef f(): ...\nclass A:\n    """An A."""\n'
    write_packages(tmp_path, source + "    def method(self): ...\n    def _own(self): ...\n")
    assert problems(tmp_path, "harness.part") == [
        "harness.part.A.method: has no docstring",
        "harness.part.LIMIT: has no docstring",
        "harness.part.f: has no docstring",
    ]


def test_a_public_package_that_no_page_shows_is_reported(tmp_path: Path) -> None:
    write_packages(tmp_path, '"""A part."""\n__all__ = ["f"]\ndef f():\n    """Do it."""\n')
    assert problems(tmp_path, "harness.part") == []
    assert problems(tmp_path) == ["harness.part.f: is public, but no page of docs/reference shows it"]


def test_a_docstring_keeps_its_lists_and_tables() -> None:
    as_markdown = module_of_docs("docstrings").as_markdown
    text = (
        "Do it.\n\n    a = b\n\nrewards, values: float32 [T, N],\n    of the rollout\ndones: bool [N]\n"
        "Raises ValueError.\n\nname    meaning\nx       y\n"
    )
    assert as_markdown(text) == (
        "Do it.\n\n    a = b\n\n- **rewards, values**: float32 [T, N],\n    of the rollout\n- **dones**: bool [N]\n\n"
        "Raises ValueError.\n\n    name    meaning\n    x       y"
    )


def test_the_site_is_built_without_a_warning_or_a_link_to_another_host(tmp_path: Path) -> None:
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    for page in ("index.html", "reference/algorithm.html"):
        text = (tmp_path / page).read_text(encoding="utf-8")
        assert not any(f'{kind}="http' in text for kind in ("src", '<link rel="stylesheet" href'))
