"""MkDocs hooks: links into the code, figures from results/published, and the check that the reference is complete."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import griffe
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
FIGURES = "results/published"
PACKAGES = ("custom_ppo", "harness")

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Add the published figures, which lie outside of docs/."""
    for path in sorted((ROOT / FIGURES).rglob("*.png")):
        inside = path.relative_to(ROOT / FIGURES).as_posix()
        files.append(File.generated(config, f"published/{inside}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Turn relative links that leave docs/ into links to the repository, or to the copied figure."""
    folder = posixpath.dirname(f"docs/{page.file.src_uri}")

    def rewritten(match: re.Match[str]) -> str:
        image, text, target, anchor = match.groups()
        path = posixpath.normpath(posixpath.join(folder, target))
        if path.startswith("docs/"):
            return match.group(0)
        if not (ROOT / path).exists():
            raise PluginError(f"{page.file.src_uri}: dead link to {path}")
        if image:
            inside = posixpath.relpath(f"docs/published/{posixpath.relpath(path, FIGURES)}", folder)
            return f"![{text}]({inside})"
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"[{text}]({config.repo_url}/{kind}/main/{path}{anchor or ''})"

    return LINK.sub(rewritten, markdown)


def on_post_build(config: Any, **_: Any) -> None:
    """Fail where a public name has no docstring or is not in the reference."""
    problems = list(undocumented(ROOT, reference_pages(Path(config.docs_dir))))
    if problems:
        raise PluginError("the reference is not complete:\n" + "\n".join(problems))


def reference_pages(docs: Path) -> tuple[str, ...]:
    """Return the modules that the pages of the reference show, as in `::: custom_ppo.gae`."""
    pages = sorted((docs / "reference").glob("*.md"))
    return tuple(name for page in pages for name in re.findall(r"(?m)^::: (\S+)", page.read_text(encoding="utf-8")))


def undocumented(root: Path, shown: Sequence[str]) -> Iterator[str]:
    """Yield what is missing: docstrings of public names, and packages that no page shows.

    shown: modules of the reference. Public are the names in their __all__, and the public members of these classes.
    A package with an __all__ is public, too: its names must be shown, by itself or where they are defined.
    """
    collection = griffe.ModulesCollection()
    loader = griffe.GriffeLoader(
        search_paths=[root], allow_inspection=False, modules_collection=collection, docstring_parser=None
    )
    for package in PACKAGES:
        loader.load(package, try_relative_path=False)
    loader.resolve_aliases(implicit=True)
    documented: set[str] = set()
    for name in shown:
        module = collection[name]
        for export in _exports(module):
            member = module.members.get(export)
            if member is None:
                yield f"{name}.{export}: is in __all__, but does not exist"
                continue
            target = _target(member)
            documented.add(target.path)
            yield from _without_docstring(target)
    for package in PACKAGES:
        for module in _packages(collection[package]):
            for export in _exports(module):
                member = module.members.get(export)
                if member is not None and _target(member).path not in documented:
                    yield f"{module.path}.{export}: is public, but no page of docs/reference shows it"


def _exports(module: griffe.Module) -> list[str]:
    return [str(name) for name in module.exports or () if not str(name).startswith("__")]


def _target(member: griffe.Object | griffe.Alias) -> griffe.Object:
    return member.final_target if isinstance(member, griffe.Alias) else member


def _packages(module: griffe.Module) -> Iterator[griffe.Module]:
    for member in module.modules.values():
        if not isinstance(member, griffe.Alias) and member.is_init_module:
            yield from _packages(member)
    yield module


def _without_docstring(target: griffe.Object) -> Iterator[str]:
    if not target.has_docstring:
        yield f"{target.path}: has no docstring"
    if isinstance(target, griffe.Class):
        for name, member in target.members.items():
            inherits = bool(target.bases)  # an overriding method means what the base class says
            if isinstance(member, griffe.Function) and not name.startswith("_") and not (member.docstring or inherits):
                yield f"{member.path}: has no docstring"
