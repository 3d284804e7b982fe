"""File of a checkpoint: contents, a description in JSON, and a signature by which a user knows their own files.

A checkpoint holds pickled objects, and loading one runs code that it names. A folder of results may come from anybody,
so that only files are read that were signed with a key which stays in the user's home.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["KEY_VARIABLE", "key_of_user", "read_checkpoint", "write_checkpoint"]

KEY_VARIABLE = "PPO_HARNESS_CHECKPOINT_KEY"
"""Environment variable with the key in hexadecimal, by which runs on several machines know each other's files."""

_MAGIC = b"ppo-harness checkpoint 1\n"
_LENGTH = struct.Struct("<Q")
_MAC_SIZE = hashlib.sha256().digest_size


def write_checkpoint(path: Path, description: Mapping[str, Any], content: bytes) -> None:
    """Write a checkpoint atomically; raises OSError, and then leaves the one that is there."""
    text = json.dumps(description).encode()
    body = _LENGTH.pack(len(text)) + text + content
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(_MAGIC)
            file.write(_signature(key_of_user(), body))
            file.write(body)
            file.flush()
            os.fsync(file.fileno())  # before the rename: a power failure could leave an empty file otherwise
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_checkpoint(path: Path) -> tuple[dict[str, Any], bytes] | None:
    """Return description and contents of a checkpoint; None if it is missing, damaged, or was written by others."""
    try:
        data = path.read_bytes()
        key = key_of_user()
    except OSError:
        return None
    start = len(_MAGIC) + _MAC_SIZE
    if not data.startswith(_MAGIC) or len(data) < start + _LENGTH.size:
        return None
    body = memoryview(data)[start:]
    if not hmac.compare_digest(_signature(key, body), data[len(_MAGIC) : start]):
        return None
    (length,) = _LENGTH.unpack_from(body)
    text = bytes(body[_LENGTH.size : _LENGTH.size + length])
    return json.loads(text), bytes(body[_LENGTH.size + length :])


def _signature(key: bytes, body: bytes | memoryview) -> bytes:
    return hmac.digest(key, body, "sha256")


def key_of_user() -> bytes:
    """Return the key of this user, which is made when it is first needed; raises OSError if that is not possible."""
    given = os.environ.get(KEY_VARIABLE, "")
    if given:
        return bytes.fromhex(given)
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    path = Path(state) / "ppo-harness" / "checkpoint.key"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(32))
    try:
        os.link(temporary, path)  # fails if another process was faster, whose key then counts
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    return path.read_bytes()
