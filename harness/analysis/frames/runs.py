"""Find the runs below a folder: runs of the harness by their records, foreign logs by the names of their folders."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from harness.analysis.frames.files import env_id_in_headers, monitor_env_id
from harness.analysis.frames.names import Guess, env_id_in, guess_names
from harness.analysis.frames.pattern import PathPattern
from harness.analysis.frames.places import LogFiles, Place, find_places
from harness.analysis.frames.zoo_files import zoo_seed
from harness.errors import RecordError
from harness.experiment.run_records import RECORD_NAME, RunRecord, read_record

__all__ = ["Found", "FoundRun", "find_runs", "search"]

_EXPERIMENT_NAME = "experiment.yml"

# rl_zoo3 names a run CartPole-v1_3, and CartPole-v1_3_UUID with --uuid.
_RUN_FOLDER = re.compile(r"(?P<env>.+)_(?P<number>\d+)(?:_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})?")

NO_ENV = "unnamed"
"""Environment of runs whose logs and pattern name none."""

Status = Literal["finished", "failed", "missing", "foreign"]


@dataclass(frozen=True)
class FoundRun:
    """Folder or file of a run: its identity, and its record if the harness wrote one."""

    path: Path
    algo: str
    env: str
    seed: int
    status: Status
    """finished, failed: as recorded. missing: a run of the harness, interrupted before its record was written.
    foreign: a log that the harness did not write; it is unknown whether training was completed."""

    record: RunRecord | None = None
    files: LogFiles = field(default_factory=LogFiles)
    """Log files of a foreign run."""

    layout: str = ""
    """Pattern by which a foreign run was named."""

    remarks: tuple[str, ...] = ()
    """Assumptions about a foreign run that readers must know."""

    @property
    def label(self) -> str:
        """Name of the run in messages: "ppo CartPole-v1 seed 0"."""
        return f"{self.algo} {self.env} seed {self.seed}"


@dataclass(frozen=True)
class Found:
    """Runs below a folder, and the files and folders that are left out, with the reasons."""

    runs: list[FoundRun]
    left_out: dict[Path, str]


def find_runs(root: Path) -> list[FoundRun]:
    """Return every run below a folder, or the folder itself if it is one; see `search`."""
    return search(root).runs


def search(root: Path, pattern: PathPattern | None = None) -> Found:
    """Return every run below a folder, or the folder itself if it is one, in the order of their paths.

    A folder is a run if it holds `run.json` or logs, see `places.find_places`. Among runs with records, a folder
    without one is an interrupted run of the harness, not a foreign log.
    pattern: names of the parts of the paths of foreign runs; None guesses them.

    Raises RecordError if the folder does not exist, a record is damaged, or the names of a run cannot be guessed.
    """
    if not root.is_dir():
        raise RecordError(f"{root}: is not a folder, expected results of `harness compare` or logs of SB3 or rl_zoo3")
    places, left_out = find_places(root)
    if any(place.has_record for place in places) or _is_in_an_experiment(root):
        return Found([_run_of_the_harness(place.path) for place in places], {})
    foreign = [_Foreign(place, _names(place, root), env_id_in_headers(place.files.monitors)) for place in places]
    if pattern is None:
        return Found(_guessed(foreign), left_out)
    return Found(list(_matched(foreign, pattern, left_out)), left_out)


def _is_in_an_experiment(root: Path) -> bool:
    folder = root.resolve()
    return any((parent / _EXPERIMENT_NAME).exists() for parent in (folder, *folder.parents))


def _run_of_the_harness(folder: Path) -> FoundRun:
    record = read_record(folder) if (folder / RECORD_NAME).exists() else None
    if record is not None:
        spec = record.spec
        return FoundRun(folder, spec.algo, spec.env, spec.seed, record.status, record)
    place = folder.resolve()
    match = _RUN_FOLDER.fullmatch(place.name)
    # The header holds what a folder's name cannot: "ALE/Pong-v5" lies in "ALE-Pong-v5_1".
    env = monitor_env_id(folder) or (match["env"] if match else place.name)
    algo = place.parent.name if match else place.name
    return FoundRun(folder, algo, env, (int(match["number"]) if match else 0) - 1, "missing")


@dataclass(frozen=True)
class _Foreign:
    place: Place
    names: tuple[str, ...]
    """Names on the way from the root to the run; the first two are those of the root and of its parent."""

    env: str | None
    """Id in the header of a Monitor file."""


def _names(place: Place, root: Path) -> tuple[str, ...]:
    above = root.resolve().parts[1:][-2:]
    return (*("",) * (2 - len(above)), *above, *place.names_below(root))


def _guessed(foreign: Sequence[_Foreign]) -> list[FoundRun]:
    """Return the runs with guessed names; raise RecordError, which suggests a pattern, where that is impossible."""
    known = {run.env for run in foreign if run.env is not None}
    guesses = [_guess(run, known) for run in foreign]
    envs = _unified([guess.env for guess in guesses])
    runs = []
    for run, guess, env in zip(foreign, guesses, envs, strict=True):
        if env is None or guess.algo is None:
            what = "environment" if env is None else "algorithm"
            raise RecordError(
                f"{run.place.path}: does not say which {what} it is of; say what the parts of the paths are, such as "
                f'--pattern "{_suggestion(run, guess)}"' + ("" if env else " (without {env}: the same for all)")
            )
        remarks = [] if guess.env is not None else [f"environment taken from the other runs: {env}"]
        other = env_id_in(run.names[2:])
        if other is not None and other != env and _stem(other) == _stem(env):
            remarks.append(f"its path names {other}, its Monitor file {env}")
        seed = zoo_seed(run.place.path)
        seed = guess.seed if seed is None else seed
        runs.append(
            FoundRun(
                *(run.place.path, guess.algo, env, 0 if seed is None else seed, "foreign"),
                files=run.place.files,
                layout=guess.layout,
                remarks=tuple(remarks),
            )
        )
    return _told_apart(runs, guesses)


def _guess(run: _Foreign, known: set[str]) -> Guess:
    """Return the guess from the names below the root, with those above it only where they do not name an algorithm."""
    own = run.names[2:]
    guess = guess_names(own, run.env, known)
    for start in (1, 0):
        if guess.algo is not None:
            break
        wider = guess_names(run.names[start:], run.env or guess.env, known)
        guess = replace(wider, seed=guess.seed if own else wider.seed, rest=guess.rest)
    return guess


def _unified(envs: Sequence[str | None]) -> list[str | None]:
    """Return the environments, "CartPole" replaced by "CartPole-v1" and None by the only one, where that is unique."""
    versioned = {env for env in envs if env is not None and re.search(r"-v\d+$", env)}
    by_stem: dict[str, set[str]] = {}
    for name in versioned:
        by_stem.setdefault(_stem(name), set()).add(name)
    named: list[str | None] = []
    for env in envs:
        same = by_stem.get(_stem(env), set()) if env is not None and env not in versioned else set()
        named.append(min(same) if len(same) == 1 else env)
    only = {env for env in named if env is not None}
    return [min(only) if env is None and len(only) == 1 else env for env in named]


def _stem(env: str) -> str:
    """Return the name of an environment without its version."""
    return re.sub(r"-v\d+$", "", env).lower()


def _told_apart(runs: list[FoundRun], guesses: Sequence[Guess]) -> list[FoundRun]:
    """Return the runs, those of one name as different algorithms if other parts of their paths differ."""
    counts = Counter((run.algo, run.env, run.seed) for run in runs)
    if max(counts.values(), default=1) == 1:
        return runs
    parts = Counter(part for guess in guesses for part in set(guess.rest))
    longer = [
        "/".join(part for part in guess.rest if parts[part] < len(runs) or part == run.algo) or run.algo
        for run, guess in zip(runs, guesses, strict=True)
    ]
    apart = [replace(run, algo=algo) for run, algo in zip(runs, longer, strict=True)]
    distinct = Counter((run.algo, run.env, run.seed) for run in apart)
    return apart if max(distinct.values()) == 1 else runs


def _matched(foreign: Sequence[_Foreign], pattern: PathPattern, left_out: dict[Path, str]) -> Iterator[FoundRun]:
    """Yield the runs whose paths match the pattern; others are left out, with that reason."""
    envs = {run.env for run in foreign if run.env is not None}
    numbers: Counter[tuple[str, str]] = Counter()
    for run in foreign:
        fields = pattern.match(run.names)
        if fields is None:
            left_out[run.place.path] = f'does not match --pattern "{pattern.text}"'
            continue
        env = fields.get("env") or run.env or (next(iter(envs)) if len(envs) == 1 else NO_ENV)
        seed = int(fields["seed"]) if "seed" in fields else zoo_seed(run.place.path)
        if seed is None:
            seed = numbers[fields["algo"], env]
            numbers[fields["algo"], env] += 1
        yield FoundRun(run.place.path, fields["algo"], env, seed, "foreign", files=run.place.files, layout=pattern.text)


def _suggestion(run: _Foreign, guess: Guess) -> str:
    """Return a pattern that the user may have meant."""
    layout = guess.layout if "{algo}" in guess.layout else "{algo}_{seed}"
    if guess.env is not None:
        return layout
    if guess.algo is not None and "_" in guess.algo:
        return layout.replace("{algo}", "{algo}_{env}")
    return f"{{env}}/{layout}" if len(run.names) - 2 > layout.count("/") + 1 else layout
