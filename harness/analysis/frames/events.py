"""Reader of TensorBoard's event files, as SB3, CleanRL and others write them.

An event file is a row of records: length (uint64), checksum (uint32), an `Event` in protobuf's format, checksum
(uint32); see tensorboard's compat/tensorflow_stub/pywrap_tensorflow.py. The events are parsed by tensorboard's own
class. Its reader computes the checksums in Python, which takes four fifths of the time; here they are skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.analysis.frames.files import NO_EPISODES, NO_PROGRESS
from harness.errors import HarnessError

__all__ = ["read_events"]

_RETURN, _LENGTH = "charts/episodic_return", "charts/episodic_length"

# CleanRL's names of values that SB3 logs as well, with the factor between them.
_AS_SB3 = {
    "losses/approx_kl": ("train/approx_kl", 1.0),
    "losses/clipfrac": ("train/clip_fraction", 1.0),
    "losses/explained_variance": ("train/explained_variance", 1.0),
    "losses/entropy": ("train/entropy_loss", -1.0),
    "losses/policy_loss": ("train/policy_gradient_loss", 1.0),
    "losses/value_loss": ("train/value_loss", 1.0),
}

_HEAD, _TAIL = 12, 4  # bytes around a record


def read_events(paths: Sequence[Path], damage: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the training episodes (of CleanRL) and all other scalars of a run, as `read_monitors` and `read_progress`.

    damage: damaged parts are left out, and named here. Event files that overlap in steps are left out altogether: then
    several runs have logged into the same folder, and nothing says which value is whose.
    Raises HarnessError if tensorboard is not installed.
    """
    scalars: dict[str, list[tuple[int, float, float]]] = {}
    last_step = -1
    for path in paths:
        steps = []
        for tag, step, seconds, value in _scalars(path, damage):
            scalars.setdefault(tag, []).append((step, seconds, value))
            steps.append(step)
        if steps and min(steps) <= last_step:
            damage.append(f"{path}: overlaps in steps with the event file before it, as if two runs had logged here")
            return NO_EPISODES, NO_PROGRESS
        last_step = max(steps, default=last_step)
    returns = np.array(scalars.pop(_RETURN, []), np.float64).reshape(-1, 3)
    lengths = np.array(scalars.pop(_LENGTH, []), np.float64).reshape(-1, 3)
    return _episodes(returns, lengths), _progress(scalars)


def _episodes(returns: np.ndarray, lengths: np.ndarray) -> pd.DataFrame:
    if not len(returns):
        return NO_EPISODES
    steps = returns[:, 0]
    if len(lengths) == len(returns) and (lengths[:, 0] == steps).all():
        length = lengths[:, 2]
    else:  # of one environment: the steps since the episode before
        length = np.maximum(np.diff(steps, prepend=0.0), 1.0)
    return pd.DataFrame(
        {
            "timestep": steps.astype(np.int64),
            "reward": returns[:, 2],
            "length": np.nan_to_num(length, nan=1.0).astype(np.int64),
            "seconds": returns[:, 1] - returns[0, 1],
        }
    )


def _progress(scalars: dict[str, list[tuple[int, float, float]]]) -> pd.DataFrame:
    parts = []
    for tag, rows in scalars.items():
        key, factor = _AS_SB3.get(tag, (tag, 1.0))
        steps, _, values = np.array(rows, np.float64).T
        kept = ~np.isnan(values)
        parts.append(
            pd.DataFrame({"timestep": steps[kept].astype(np.int64), "key": key, "value": factor * values[kept]})
        )
    if not parts:
        return NO_PROGRESS
    return pd.concat(parts, ignore_index=True).sort_values("timestep", kind="stable", ignore_index=True)


def _scalars(path: Path, damage: list[str]) -> Iterator[tuple[str, int, float, float]]:
    """Yield tag, step, wall-clock time and value of every scalar of a file."""
    try:
        # Lazily: it is an extra, and takes a third of a second.
        from tensorboard.compat.proto.event_pb2 import Event
    except ImportError as error:
        raise HarnessError(
            f"{path}: event files are read with tensorboard, which is not installed: pip install tensorboard"
        ) from error
    try:
        content = path.read_bytes() if path.is_file() else b""
        for record in _records(content, path, damage):
            event = Event.FromString(record)
            for value in event.summary.value:
                number = _number(value)
                if number is not None:
                    yield value.tag, event.step, event.wall_time, number
    except (OSError, ValueError) as error:
        damage.append(f"{path}: cannot be read ({' '.join(str(error).split())})")
    except Exception as error:
        if type(error).__name__ != "DecodeError":  # protobuf is not imported here for its name alone
            raise
        damage.append(f"{path}: is damaged, what follows is left out ({' '.join(str(error).split())})")


def _records(content: bytes, path: Path, damage: list[str]) -> Iterator[bytes]:
    place = 0
    while place < len(content):
        if place + _HEAD > len(content):
            break
        (size,) = struct.unpack_from("<Q", content, place)
        end = place + _HEAD + size + _TAIL
        if end > len(content):
            break
        yield content[place + _HEAD : end - _TAIL]
        place = end
    if place < len(content):
        damage.append(f"{path}: ends within a record, which is left out")


def _number(value: Any) -> float | None:
    """Return the number of a summary's value, None for a histogram, an image or a text."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    if kind != "tensor" or value.metadata.plugin_data.plugin_name not in ("", "scalars"):
        return None
    tensor = value.tensor  # TensorFlow 2 writes scalars as tensors without dimensions
    if tensor.tensor_shape.dim or tensor.dtype not in (1, 2):
        return None
    if tensor.tensor_content:
        return float(np.frombuffer(tensor.tensor_content, "<f4" if tensor.dtype == 1 else "<f8")[0])
    values = tensor.float_val or tensor.double_val
    return float(values[0]) if values else None
