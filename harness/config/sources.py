"""Look up hyperparameters in a zoo-style file, the installed rl_zoo3, or a mapping in the experiment itself.

A source is a mapping from environment ids (and the words `atari` and `default`) to entries.
"""

from __future__ import annotations

import difflib
import importlib.util
from pathlib import Path

from harness.config.documents import Located, PlacedError, parse_document
from harness.config.files import read_text
from harness.config.names import ZOO_FILES
from harness.config.rules import describe, expect_mapping
from harness.errors import ConfigError, did_you_mean

__all__ = ["find_entry", "open_sources", "zoo_folder"]


def zoo_folder() -> Path:
    """Return the folder of the installed rl_zoo3's hyperparameter files; raise ConfigError if it is not installed.

    rl_zoo3 is found without importing it, since its import patches gymnasium for the whole process.
    """
    spec = importlib.util.find_spec("rl_zoo3")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("rl_zoo3 is not installed; install it, or name a file instead of `zoo`")
    return Path(spec.submodule_search_locations[0]) / "hyperparams"


def open_sources(section: Located, folder: Path, problems: list[PlacedError]) -> dict[str, Located | None] | None:
    """Return the section `hyperparameters` as algorithm -> source, which is None if it cannot be read.

    folder: paths in the section are relative to it. Mistakes become problems; None is returned if the section is not a
    mapping.
    """
    if not expect_mapping(section, "of algorithms to files", problems):
        return None
    sources: dict[str, Located | None] = {}
    for algorithm, place in section.items():
        sources[algorithm] = None
        try:
            sources[algorithm] = _open_source(algorithm, place, folder)
        except ConfigError as error:
            problems.append(place.placed(error))
    return sources


def _open_source(algorithm: str, place: Located, folder: Path) -> Located:
    if isinstance(place.value, dict):
        return place
    if not isinstance(place.value, str):
        raise ConfigError(f"expected a file, the word zoo, or a mapping of environments, got {describe(place.value)}")
    path = _zoo_file(algorithm) if place.value == "zoo" else folder / place.value
    try:
        text = read_text(path)
    except PlacedError as error:
        # Report the line of the experiment that names the file, since the mistake is there.
        raise ConfigError(str(error)) from None
    root = parse_document(text, str(path)).root
    if not isinstance(root.value, dict):
        raise root.error(f"expected a mapping of environments to hyperparameters, got {describe(root.value)}")
    return root


def _zoo_file(algorithm: str) -> Path:
    folder = zoo_folder()
    stem = ZOO_FILES.get(algorithm, algorithm)
    stems = sorted(path.stem for path in folder.glob("*.yml"))
    if stem not in stems:
        hint = did_you_mean(stem, stems) or f", only for {', '.join(stems)}"
        raise ConfigError(f"rl_zoo3 has no hyperparameters for {algorithm}{hint}")
    return folder / f"{stem}.yml"


def find_entry(source: Located, env: str) -> Located:
    """Return the entry of an environment in rl_zoo3's order: its id, `atari` for Atari games, `default`.

    Raises ConfigError without a place, naming the closest ids, if there is none, and PlacedError for a bad entry.
    """
    # rl_zoo3 recognises Atari games by their class in gymnasium; their ids allow the same without importing it.
    is_atari = env.startswith("ALE/") or "NoFrameskip" in env
    key = next((key for key in (env, "atari" if is_atari else "default", "default") if key in source.value), None)
    if key is None:
        candidates = [name for name in source.value if len(name) <= 100][:1000]
        close = difflib.get_close_matches(env[:100], candidates, n=3, cutoff=0.5)
        hint = f", the closest are {', '.join(close)}" if close else ""
        raise ConfigError(f"{source.document.file} has no entry for {env} and no default{hint}")
    entry = source[key]
    if not isinstance(entry.value, dict):
        raise entry.error(f"expected a mapping of hyperparameters, got {describe(entry.value)}")
    return entry
