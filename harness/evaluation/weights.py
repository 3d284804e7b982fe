"""Weights of a model file of SB3, read by torch's safe loader, which builds tensors and runs no code of the file.

A model file is a zip: `policy.pth` holds the state dict, `data` is JSON in which many values are pickled objects. Of
`data`, only plain numbers are read here.
"""

from __future__ import annotations

import io
import json
import pickle
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from harness.errors import RecordError

__all__ = ["load_weights"]

_WEIGHTS, _DATA = "policy.pth", "data"

_NUMBERS = ("exploration_rate",)
"""Attributes of an algorithm that `predict` reads: the share of random actions of DQN, if it is not deterministic."""


def load_weights(model: Any, path: Path) -> None:
    """Give a model the weights in a file of its class; raise RecordError if the file is missing, damaged or of another.

    model: an algorithm as SB3 has it, built with the settings of the one that was saved.
    """
    state = _state_dict(path, _read_member(path, _WEIGHTS))
    try:
        model.policy.load_state_dict(state)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise RecordError(f"{path}: holds the weights of another network: {_one_line(error)}") from error
    for name, number in _plain_numbers(path).items():
        if hasattr(model, name):
            setattr(model, name, number)
    if getattr(model, "use_sde", False):  # the noise matrix depends on the weights; SB3's load draws it anew, too
        model.policy.reset_noise()


def _state_dict(path: Path, content: bytes) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the format of a file that it then refuses
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        reason = _one_line(error).partition(" Check the documentation")[0]
        raise RecordError(f"{path}: its weights are refused by torch's safe loader: {reason}") from error
    if not isinstance(state, dict):
        raise RecordError(f"{path}: expected a dictionary of weights, got {type(state).__name__}")
    return state


def _plain_numbers(path: Path) -> dict[str, float]:
    try:
        data = json.loads(_read_member(path, _DATA))
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: its `data` is not JSON: {_one_line(error)}") from error
    found = {name: data.get(name) for name in _NUMBERS} if isinstance(data, dict) else {}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def _read_member(path: Path, member: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            # Weights are zip files in the zip file: without the end of the outer one, an inner one would be opened.
            if min((info.header_offset for info in archive.infolist()), default=0) > 0:
                raise zipfile.BadZipFile("it ends too early")
            if member not in archive.namelist():
                raise RecordError(f"{path}: has no {member}; expected a model that an algorithm of SB3 saved")
            return archive.read(member)
    except FileNotFoundError:
        raise RecordError(f"{path}: does not exist; the model was removed, or never saved") from None
    except (OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise RecordError(f"{path}: not a model file, or only a part of one: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
