"""Further logs of a run beside its own files: TensorBoard and Weights & Biases, through their own libraries.

Both get the numbers of `progress.csv` at the same moments. No result depends on them: random generators are restored
after every call of these libraries, and whatever they raise ends the log, never the run.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, Protocol

from stable_baselines3.common.logger import KVWriter, TensorBoardOutputFormat

from harness.experiment.plan import RunSpec
from harness.experiment.run_folder import TENSORBOARD_FOLDER, WANDB_FOLDER
from harness.printable import message_of, one_line
from harness.training.algorithms import import_target

__all__ = ["Tracker", "open_trackers"]

FINISH_SECONDS = 60.0
"""Time for the upload of what is left at the end of a run; a server that does not answer costs no more."""


class _Output(Protocol):
    """Output of SB3's logger whose contents can be cut back to a checkpoint."""

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Write one row."""

    def state(self) -> Any:
        """Return plain data from which the output goes on after an interruption."""

    def close(self) -> None:
        """End the log."""


class Tracker(KVWriter):
    """Output of SB3's logger that passes rows on to a library, and ends with one printed line if that raises.

    open_output: function that opens the output; it is called at once.
    """

    def __init__(self, name: str, open_output: Callable[[], _Output]) -> None:
        self.name = name
        self.trouble = ""
        """Reason why the log is not complete, on one line; empty if it is."""
        self._output: _Output | None = None
        self._output = self._guarded(open_output)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Write one row, unless the log has ended."""
        if self._output is not None:
            self._guarded(lambda: self._output.write(key_values, key_excluded, step))  # type: ignore[union-attr]

    def state(self) -> Any:
        """Return plain data from which the log goes on after an interruption; None if it has ended."""
        return None if self._output is None else self._guarded(self._output.state)

    def close(self) -> None:
        """End the log; a second call does nothing."""
        output, self._output = self._output, None
        if output is not None:
            self._guarded(output.close)

    def _guarded(self, call: Callable[[], Any]) -> Any:
        """Return the result of a call, or None if it raises."""
        randomness = import_target("custom_ppo.sb3.randomness:Randomness").now()
        try:
            return call()
        # SystemExit too, which libraries raise where they ask for a login.
        except (Exception, SystemExit) as error:
            self._output = None
            self.trouble = one_line(f"{type(error).__name__}: {message_of(error)}", 300)
            line = f"{self.name}: the log ends here, and the run goes on: {self.trouble}"
            print(line, file=sys.stderr, flush=True)  # noqa: T201
            return None
        finally:
            randomness.restore()


class _TensorBoardTracker(Tracker, TensorBoardOutputFormat):
    """Tracker that callbacks such as rl_zoo3's RawStatisticsCallback find, as they look for this class of SB3."""


def open_trackers(
    names: Sequence[str], spec: RunSpec, run_path: Path, states: Mapping[str, Any] | None = None
) -> list[Tracker]:
    """Return an output of SB3's logger for each name, "tensorboard" or "wandb"; nothing is raised.

    states: name -> state of the tracker in the checkpoint from which a run continues: what was logged after it is
        removed. None for a run that begins.
    """
    before = states or {}
    kinds: Mapping[str, Callable[[Any], _Output]] = {
        "tensorboard": lambda state: _TensorBoard(run_path / TENSORBOARD_FOLDER, state),
        "wandb": lambda state: _Wandb(spec, run_path, state),
    }
    classes = {"tensorboard": _TensorBoardTracker}
    return [
        classes.get(name, Tracker)(name, lambda name=name: kinds[name](before.get(name)))  # type: ignore[misc]
        for name in names
    ]


class _TensorBoard:
    """SB3's own output for TensorBoard, whose files are cut to their length at the checkpoint.

    state: {"name of a file": bytes}. A process writes one file, so that others were begun after the checkpoint.
    """

    def __init__(self, folder: Path, state: Mapping[str, int] | None) -> None:
        self.folder = folder
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name in (state or {}):
                os.truncate(path, state[path.name])  # type: ignore[index]
            else:
                path.unlink()
        self.output = TensorBoardOutputFormat(str(folder))

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        self.output.write(key_values, key_excluded, step)

    def state(self) -> dict[str, int]:
        self.output.writer.flush()  # waits for the thread that writes
        return {path.name: path.stat().st_size for path in self.folder.iterdir()}

    def close(self) -> None:
        self.output.close()


class _Wandb:
    """Log of a run in the project that is named as the experiment, grouped by algorithm and environment.

    Offline, unless WANDB_MODE says otherwise: nothing leaves the machine, and no login is asked for. The state holds
    the rows of before a checkpoint: an offline log is written anew with them, since its file cannot be cut; a server
    knows them and refuses steps that it has already.
    """

    def __init__(self, spec: RunSpec, run_path: Path, state: Mapping[str, Any] | None) -> None:
        wandb: Any = importlib.import_module("wandb")
        is_offline = os.environ.setdefault("WANDB_MODE", "offline") != "online"
        self.rows: list[tuple[int, dict[str, float]]] = list(state["rows"]) if state is not None else []
        if is_offline:
            shutil.rmtree(run_path / WANDB_FOLDER, ignore_errors=True)
        self.run = wandb.init(
            project=run_path.absolute().parents[2].name,  # results/NAME/runs/ALGO/ENV_K
            name=spec.label,
            group=f"{spec.algo} {spec.env}",
            config=spec.as_dict(),
            dir=str(run_path),
            id=None if state is None else state["id"],
            resume=None if state is None or is_offline else "allow",
            # Its own capture of what is printed would end the run's log.
            settings=wandb.Settings(console="off", silent=True, disable_git=True),
        )
        if is_offline:
            for step, numbers in self.rows:
                self.run.log(numbers, step=step)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        numbers = {
            key: float(value)
            for key, value in key_values.items()
            if isinstance(value, Real) and "wandb" not in (key_excluded.get(key) or ())
        }
        self.rows.append((step, numbers))
        self.run.log(numbers, step=step)

    def state(self) -> dict[str, Any]:
        return {"id": self.run.id, "rows": list(self.rows)}

    def close(self) -> None:
        troubles: list[BaseException] = []

        def finish() -> None:
            try:
                self.run.finish()
            except BaseException as error:
                troubles.append(error)

        thread = threading.Thread(target=finish, daemon=True)
        thread.start()
        thread.join(FINISH_SECONDS)
        if thread.is_alive():
            raise TimeoutError(f"wandb has not finished after {FINISH_SECONDS:.0f} s")
        for error in troubles:
            raise error
