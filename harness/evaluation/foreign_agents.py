"""Load the agent of a folder that SB3 or rl_zoo3 wrote, for whose pickles the user has said that they are trusted."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from harness.errors import RecordError
from harness.evaluation.agents import StoredAgent, unpickle_statistics
from harness.evaluation.settings import Snapshot
from harness.experiment.plan import RunSpec
from harness.training.algorithms import load_algorithm

__all__ = ["foreign_spec", "load_foreign_agent"]

_RUN_FOLDER = re.compile(r"(?P<env>.+)_(?P<number>\d+)(?:_[0-9a-f-]{36})?")
_ORDERED_DICT = "tag:yaml.org,2002:python/object/apply:collections.OrderedDict"
_TUPLE = "tag:yaml.org,2002:python/tuple"
N_EPISODES = 100


class _DataLoader(yaml.SafeLoader):
    """YAML loader that builds plain data only, also from the tags that rl_zoo3 writes."""


def _ordered_dict(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> dict[Any, Any]:
    return dict(loader.construct_sequence(node, deep=True)[0])


def _tuple(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> tuple[Any, ...]:
    return tuple(loader.construct_sequence(node, deep=True))


_DataLoader.add_constructor(_ORDERED_DICT, _ordered_dict)
_DataLoader.add_constructor(_TUPLE, _tuple)


def foreign_spec(run_path: Path) -> RunSpec:
    """Return the spec of a folder ALGO/ENV_K of rl_zoo3, from its names and its config.yml; raise RecordError."""
    folder = run_path.resolve()
    match = _RUN_FOLDER.fullmatch(folder.name)
    if match is None:
        raise RecordError(f"{run_path}: expected a folder named ALGO/ENV_NUMBER, as rl_zoo3 writes them")
    settings = _read_data(run_path / match["env"] / "config.yml")
    arguments = _read_data(run_path / match["env"] / "args.yml")
    env, seed = arguments.get("env", match["env"]), arguments.get("seed", int(match["number"]))
    kept = {key: value for key, value in settings.items() if key not in ("n_timesteps", "callback")}
    return RunSpec(folder.parent.name, folder.parent.name, str(env), int(seed), 0, 0, 0, N_EPISODES, kept)


def load_foreign_agent(run_path: Path, snapshot: Snapshot = "final") -> StoredAgent:
    """Return the agent in a folder of rl_zoo3; its files are unpickled, which runs code of whoever wrote them.

    Raises RecordError if a file is missing or damaged, and UnknownNameError for an algorithm that is not registered.
    """
    spec = foreign_spec(run_path)
    folder = spec.env.replace("/", "-")
    file = run_path / (f"{folder}.zip" if snapshot == "final" else "best_model.zip")
    if not file.exists():
        raise RecordError(f"{file}: does not exist; the model was removed, or never saved")
    algorithm = load_algorithm(spec.algo_class, methods=("learn", "predict", "load"))
    try:
        model = algorithm.load(file, device="cpu", custom_objects={"buffer_size": 1})
    except Exception as error:  # any class of the file can raise
        raise RecordError(f"{file}: cannot be loaded: {' '.join(str(error).split())[:300]}") from error
    return StoredAgent(spec, model, partial(unpickle_statistics, run_path / folder / "vecnormalize.pkl"))


def _read_data(path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_DataLoader)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, TypeError, IndexError, RecursionError) as error:
        raise RecordError(f"{path}: cannot be read as data ({' '.join(str(error).split())[:200]})") from error
    return data if isinstance(data, dict) else {}
