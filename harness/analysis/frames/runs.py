"""Find the runs below a folder: runs of the harness by their records, foreign logs by the names of their folders."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from harness.analysis.frames.files import EVALUATIONS_NAME, MONITOR_SUFFIX, PROGRESS_NAME, monitor_env_id
from harness.errors import RecordError
from harness.experiment.run_records import RECORD_NAME, RunRecord, read_record

__all__ = ["FoundRun", "find_runs"]

_EXPERIMENT_NAME = "experiment.yml"

# rl_zoo3 names a run CartPole-v1_3, and CartPole-v1_3_UUID with --uuid.
_RUN_FOLDER = re.compile(r"(?P<env>.+)_(?P<number>\d+)(?:_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})?")

Status = Literal["finished", "failed", "missing", "foreign"]


@dataclass(frozen=True)
class FoundRun:
    """Folder of a run: its identity, and its record if the harness wrote one."""

    path: Path
    algo: str
    env: str
    seed: int
    status: Status
    """finished, failed: as recorded. missing: a run of the harness, interrupted before its record was written.
    foreign: a log that the harness did not write; it is unknown whether training was completed."""

    record: RunRecord | None = None

    @property
    def label(self) -> str:
        """Name of the run in messages: "ppo CartPole-v1 seed 0"."""
        return f"{self.algo} {self.env} seed {self.seed}"


def find_runs(root: Path) -> list[FoundRun]:
    """Return every run below a folder, or the folder itself if it is one, in the order of their paths.

    A folder is a run if it holds `run.json` or, like a log of SB3 or rl_zoo3, a Monitor file, evaluations.npz or
    progress.csv; folders within a run (such as a second log of its evaluations) belong to it.
    Among runs with records, a folder without one is an interrupted run of the harness, not a foreign log.

    Raises RecordError if the folder does not exist or a record is damaged.
    """
    if not root.is_dir():
        raise RecordError(f"{root}: is not a folder, expected results of `harness compare` or logs of SB3 or rl_zoo3")
    folders = list(_run_folders(root))
    by_harness = any((folder / RECORD_NAME).exists() for folder in folders) or _is_in_an_experiment(root)
    return [_identify(folder, by_harness=by_harness) for folder in folders]


def _run_folders(root: Path) -> Iterator[Path]:
    for parent, subfolders, names in os.walk(root):
        if _holds_a_run(names):
            subfolders.clear()
            yield Path(parent)
        else:
            subfolders.sort()


def _holds_a_run(names: Collection[str]) -> bool:
    signs = {RECORD_NAME, EVALUATIONS_NAME, PROGRESS_NAME}
    return any(name in signs or name.endswith(MONITOR_SUFFIX) for name in names)


def _is_in_an_experiment(root: Path) -> bool:
    folder = root.resolve()
    return any((parent / _EXPERIMENT_NAME).exists() for parent in (folder, *folder.parents))


def _identify(folder: Path, *, by_harness: bool) -> FoundRun:
    record = read_record(folder)
    if record is not None:
        spec = record.spec
        return FoundRun(folder, spec.algo, spec.env, spec.seed, record.status, record)
    place = folder.resolve()
    match = _RUN_FOLDER.fullmatch(place.name)
    # The header holds what a folder's name cannot: "ALE/Pong-v5" lies in "ALE-Pong-v5_1".
    env = monitor_env_id(folder) or (match["env"] if match else place.name)
    algo = place.parent.name if match else place.name
    number = int(match["number"]) if match else 0
    if by_harness:
        return FoundRun(folder, algo, env, number - 1, "missing")
    seed = _zoo_seed(folder)
    return FoundRun(folder, algo, env, number if seed is None else seed, "foreign")


def _zoo_seed(folder: Path) -> int | None:
    """Return the seed in rl_zoo3's args.yml, or None.

    The file is a pickled OrderedDict written as YAML (`!!python/object/apply:...`). Constructing it would run code, so
    its nodes are searched for the pair [seed, N] instead.
    """
    for path in sorted(folder.glob("*/args.yml")):
        try:
            nodes = [yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)]
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise RecordError(f"{path}: cannot be read ({' '.join(str(error).split())}), expected YAML") from error
        while nodes:
            node = nodes.pop()
            if isinstance(node, yaml.MappingNode):
                nodes.extend(yaml.SequenceNode(node.tag, list(pair)) for pair in node.value)
            elif isinstance(node, yaml.SequenceNode):
                pair = [item.value for item in node.value if isinstance(item, yaml.ScalarNode)]
                if len(pair) == 2 and pair[0] == "seed" and pair[1].isdigit():
                    return int(pair[1])
                nodes.extend(node.value)
    return None
