"""Rebuild the agent of a run: its class from the record, its weights and statistics from files that hold only numbers.

Nothing is unpickled. SB3's own `load` would unpickle the `data` of the model file, and VecNormalize is a pickle as a
whole: a file from elsewhere could run any code.
"""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stable_baselines3.common.vec_env import VecEnv, VecNormalize, unwrap_vec_normalize

from harness.errors import RecordError
from harness.evaluation.settings import Snapshot
from harness.evaluation.trust import check_trust
from harness.evaluation.weights import load_weights
from harness.experiment.plan import RunSpec
from harness.experiment.run_records import RECORD_NAME, RunRecord, read_record
from harness.training.algorithms import load_algorithm
from harness.training.envs import lean_classes, make_training_env
from harness.training.envs.statistics import read_statistics, statistics_path
from harness.training.models import build_model
from harness.training.train import parameters_digest

__all__ = ["StoredAgent", "finished_record", "rebuild_agent", "unpickle_statistics"]


@dataclass(frozen=True)
class StoredAgent:
    """An agent that was trained, and what its observations must be normalised with."""

    spec: RunSpec
    model: Any
    restore: Callable[[VecNormalize], None]
    """Function that gives a VecNormalize the statistics of the training; raises RecordError."""

    def normalise_as_in_training(self, env: VecEnv) -> None:
        """Give the environments of an evaluation the statistics of this agent's training; raise RecordError."""
        wrapper = unwrap_vec_normalize(env)
        if wrapper is not None:
            self.restore(wrapper)


def finished_record(run_path: Path) -> RunRecord:
    """Return the record of a finished run; raise RecordError if there is none or the run failed."""
    record = read_record(run_path)
    if record is None:
        raise RecordError(
            f"{run_path}: has no {RECORD_NAME}: the run was interrupted, or another program wrote it, whose agents can "
            "only be loaded from pickles, which may run any code; --trust-pickle if you trust their author"
        )
    if record.status != "finished":
        error = record.error or {}
        raise RecordError(f"{run_path}: the run failed ({error.get('type', '?')}: {error.get('message', '?')[:200]})")
    return record


def rebuild_agent(
    run_path: Path, snapshot: Snapshot = "final", *, trusted: tuple[str, ...] = (), trust_pickle: bool = False
) -> StoredAgent:
    """Return the agent of a finished run of the harness; raise RecordError or UnknownNameError.

    trusted: packages, beside those of the allow-list, whose code the record may name.
    trust_pickle: unpickle the statistics of VecNormalize if the safe file is missing, as in runs of older versions.
    The weights of the final model are compared with the digest in the record, bit by bit.
    """
    record = finished_record(run_path)
    spec = record.spec
    check_trust(spec, run_path, trusted)
    model = _untrained_model(spec)
    folder = spec.env.replace("/", "-")
    file = run_path / (f"{folder}.zip" if snapshot == "final" else "best_model.zip")
    load_weights(model, file)
    if snapshot == "final" and parameters_digest(model.policy) != record.parameters_digest:
        raise RecordError(
            f"{file}: holds other weights than {RECORD_NAME} describes; the file was exchanged or damaged"
        )
    pickled = run_path / folder / ("vecnormalize.pkl" if snapshot == "final" else "best_vecnormalize.pkl")
    path = statistics_path(pickled)
    if trust_pickle and pickled.exists() and not path.exists():
        return StoredAgent(spec, model, partial(unpickle_statistics, pickled))
    return StoredAgent(spec, model, partial(read_statistics, path))


def unpickle_statistics(path: Path, env: VecNormalize) -> None:
    """Give env the statistics of a pickled VecNormalize; this runs code of the file. Raises RecordError."""
    try:
        with path.open("rb") as file:
            stored = pickle.load(file)
        env.ret_rms = stored.ret_rms
        if env.norm_obs:
            env.obs_rms = stored.obs_rms
    except FileNotFoundError:
        raise RecordError(f"{path}: is missing, so that observations cannot be normalised as in training") from None
    except Exception as error:  # any class of the file can raise
        raise RecordError(f"{path}: cannot be unpickled: {' '.join(str(error).split())[:200]}") from error


def _untrained_model(spec: RunSpec) -> Any:
    """Return the algorithm as it was before training, without memory for a replay buffer."""
    env = make_training_env(spec, None, classes=lean_classes())
    try:
        accepted = inspect.signature(load_algorithm(spec.algo_class)).parameters
        return build_model(spec, env, **({"buffer_size": 1} if "buffer_size" in accepted else {}))
    finally:
        env.close()
