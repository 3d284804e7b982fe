"""Read a text file that a user names: regular files of limited size only, so that a pipe or a device blocks nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from harness.config.documents import PlacedError, shortened
from harness.errors import did_you_mean

__all__ = ["MAX_BYTES", "read_text"]

MAX_BYTES = 4 * 2**20
"""Largest size of a file, in bytes."""


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file; raise PlacedError if it cannot be read, is too large, or is not UTF-8."""
    file = shortened(str(path), 200)
    try:
        return _read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        column = error.start - error.object.rfind(b"\n", 0, error.start)
        byte = error.object[error.start]
        raise PlacedError(
            f"{file}:{line}:{column}: is not UTF-8 text (byte 0x{byte:02x}); save it as UTF-8", file, line, column
        ) from None
    except FileNotFoundError:
        raise PlacedError(f"{file}: does not exist{_similar_file(path)}", file) from None
    except IsADirectoryError:
        raise PlacedError(f"{file}: is a folder, expected a YAML file", file) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PlacedError(f"{file}: cannot be read ({reason})", file) from None


def _read_bytes(path: Path) -> bytes:
    # Without O_NONBLOCK, opening a named pipe waits for a writer for ever.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError
        if not stat.S_ISREG(kind):
            raise ValueError("it is not a regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES // 2**20} MiB, which no configuration needs")
    return content


def _similar_file(path: Path) -> str:
    """Return `, did you mean ppo.yml?` for the YAML file in the same folder with the closest name, or nothing."""
    try:
        names = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix in {".yml", ".yaml"})
    except OSError:
        return ""
    return did_you_mean(path.name, names)
