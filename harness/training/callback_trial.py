"""Try the callbacks of an entry out: their arguments, and whether they accept the model and its logger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stable_baselines3.common.logger import Logger

from harness.errors import HarnessError
from harness.experiment.plan import RunSpec
from harness.printable import message_of, one_line
from harness.training.checkpoints import can_continue
from harness.training.findings import Finding
from harness.training.trackers import open_trackers
from harness.training.zoo_callbacks import build_callbacks, not_resumable

__all__ = ["try_callbacks"]


def try_callbacks(spec: RunSpec, model: Any, logging: Sequence[str]) -> Iterator[Finding]:
    """Yield what is wrong with the callbacks of a run, and a note if they prevent its checkpoints.

    logging: further logs of the run, without which some callbacks do not start.
    """
    if spec.hyperparams.get("callback") is None:
        return
    with TemporaryDirectory() as folder:
        trackers = open_trackers([name for name in logging if name == "tensorboard"], spec, Path(folder))
        try:
            model.set_logger(Logger(None, list(trackers)))
            callbacks = build_callbacks(spec, Path(folder))
            for callback in callbacks:
                callback.init_callback(model)
        except HarnessError as error:
            yield Finding(str(error), spec.env, spec.algo, "callback")
            return
        except Exception as error:  # whatever a callback raises
            cause = one_line(f"{type(error).__name__}: {message_of(error)}", 300)
            message = f"{type(callback).__name__} cannot be attached to {spec.algo_class}: {cause}"
            yield Finding(message, spec.env, spec.algo, "callback")
            return
        finally:
            for tracker in trackers:
                tracker.close()
    names = not_resumable(callbacks)
    if names and can_continue(model):
        yield Finding(
            f"runs of {spec.algo_class} with the callback {names[0]} make no checkpoints, as its state may not be "
            "saved: an interrupted run begins anew",
            is_problem=False,
        )
