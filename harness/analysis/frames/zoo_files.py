"""Read single settings from the files args.yml and config.yml of rl_zoo3 without constructing what they hold.

Both are pickled OrderedDicts written as YAML (`!!python/object/apply:...`). Constructing one would run code, so that
its nodes are searched for the pair [name, value] instead.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import yaml

from harness.errors import RecordError

__all__ = ["planned_steps", "zoo_seed"]

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C: there are two files for each run


def zoo_seed(folder: Path) -> int | None:
    """Return the seed in args.yml of a run, or None; raise RecordError if the file is no YAML."""
    for path in sorted(folder.glob("*/args.yml")):
        try:
            seed = _value(path, "seed")
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise RecordError(f"{path}: cannot be read ({' '.join(str(error).split())}), expected YAML") from error
        if seed is not None and seed.isdigit():
            return int(seed)
    return None


def planned_steps(folder: Path) -> int | None:
    """Return the number of steps that a run was to be trained, of the command line or else of its file, or None."""
    for name in ("args.yml", "config.yml"):
        for path in sorted(folder.glob(f"*/{name}")):
            with contextlib.suppress(OSError, ValueError, OverflowError, yaml.YAMLError):
                steps = float((_value(path, "n_timesteps") or "0").replace("_", ""))
                if steps > 0:  # rl_zoo3's option is -1 where the file decides
                    return int(steps)
    return None


def _value(path: Path, name: str) -> str | None:
    nodes = [yaml.compose(path.read_text(encoding="utf-8"), Loader=_Loader)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.MappingNode):
            nodes.extend(yaml.SequenceNode(node.tag, list(pair)) for pair in node.value)
        elif isinstance(node, yaml.SequenceNode):
            pair = [item.value for item in node.value if isinstance(item, yaml.ScalarNode)]
            if len(pair) == 2 and len(node.value) == 2 and pair[0] == name:
                return str(pair[1])
            nodes.extend(node.value)
    return None
