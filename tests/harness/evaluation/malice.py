"""Files that leave a trace if somebody unpickles them."""

from __future__ import annotations

import base64
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import cloudpickle

__all__ = ["Malice", "plant_in_data", "plant_in_weights"]


class Malice:
    """Object whose unpickling writes the file `trace`."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.trace, "executed")


def _rewritten(model: Path, changes: dict[str, bytes]) -> None:
    with zipfile.ZipFile(model) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(model, "w") as archive:
        for name, content in {**members, **changes}.items():
            archive.writestr(name, content)


def plant_in_data(model: Path, trace: Path) -> None:
    """Replace the policy class in a model file of SB3 by an object that writes the trace when it is unpickled."""
    with zipfile.ZipFile(model) as archive:
        data = json.loads(archive.read("data"))
    pickled = base64.b64encode(cloudpickle.dumps(Malice(trace))).decode()
    data["policy_class"] = {":type:": "<class 'abc.ABCMeta'>", ":serialized:": pickled}
    _rewritten(model, {"data": json.dumps(data).encode()})


def plant_in_weights(model: Path, trace: Path) -> None:
    """Replace the weights in a model file by a pickle that writes the trace."""
    _rewritten(model, {"policy.pth": pickle.dumps({"weight": Malice(trace)})})
