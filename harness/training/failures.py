"""Description of whatever an environment or an algorithm raises, as data for a record."""

from __future__ import annotations

import errno
import shutil
import traceback
from pathlib import Path

from harness.printable import message_of, one_line, printable

__all__ = ["described", "is_full"]

MAX_TRACEBACK = 20_000
"""Characters of a traceback that a record keeps, half from its beginning and half from its end."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PROBE_BYTES = 2**16


def described(error: BaseException) -> dict[str, str]:
    """Return type, message and traceback of an exception, printable and of a bounded length."""
    return {"type": one_line(type(error).__name__, 100), "message": _message(error), "traceback": _traceback(error)}


def _message(error: BaseException) -> str:
    match error:
        case SystemExit(code=code):
            return f"the environment or the algorithm called sys.exit({one_line(repr(code), 100)})"
        case KeyboardInterrupt():
            return "the environment or the algorithm raised KeyboardInterrupt"
    return message_of(error)


def _traceback(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error))
    except Exception as second:  # the class of the exception may be anybody's
        return f"(its traceback cannot be shown: {type(second).__name__})"
    if len(text) > MAX_TRACEBACK:
        half = MAX_TRACEBACK // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half:,} characters left out ...\n{text[-half:]}"
    return printable(text)


def is_full(error: BaseException, folder: Path) -> bool:
    """Return True if an exception was raised because the disk of a folder is full.

    The folder is tried: an environment may raise the same error for reasons of its own. torch raises a RuntimeError, so
    that other exceptions count too where no space is left.
    """
    try:
        suspected = getattr(error, "errno", None) in _FULL or shutil.disk_usage(folder).free < _PROBE_BYTES
        if suspected:
            probe = folder / ".probe"
            try:
                probe.write_bytes(bytes(_PROBE_BYTES))
            finally:
                probe.unlink(missing_ok=True)
    except OSError as second:
        return second.errno in _FULL
    return False
