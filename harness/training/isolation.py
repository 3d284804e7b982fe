"""Call a function in a forked process with a time limit, so that code that hangs, exits or crashes ends only itself."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Outcome", "call_isolated"]

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Outcome:
    """Result of a call, or the reason why there is none."""

    result: Any = None
    trouble: str | None = None
    """Verb phrase that completes a sentence about the called code: "ends the process with exit code 3"."""


def call_isolated(function: Callable[[], Any], seconds: float) -> Outcome:
    """Call the function in a copy of this process, and return its result, which must be plain JSON data.

    seconds: time limit, after which the process and all its children are killed. Nothing that the function prints is
    shown, and nothing that it changes in memory, environment variables or the working directory outlives it.
    """
    receiver, sender = os.pipe()
    with warnings.catch_warnings():
        # The thread that watches the parent holds no lock that the child needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _run(function, sender)
    os.close(sender)
    try:
        return _outcome(child, receiver, seconds)
    finally:
        os.close(receiver)


def _run(function: Callable[[], Any], sender: int) -> None:
    """Send the outcome of the function as JSON with its length, and end the process."""
    try:
        _separate()
        try:
            answer = {"result": function()}
        except SystemExit as error:
            answer = {"trouble": f"ends the process (SystemExit: {_one_line(error)})"}
        except BaseException as error:
            answer = {"trouble": f"raises {type(error).__name__}: {_one_line(error)}"}
        text = json.dumps(answer).encode()
        with open(sender, "wb") as file:
            file.write(len(text).to_bytes(8, "big") + text)
    finally:
        os._exit(0)


def _separate() -> None:
    """Make this process the leader of a group that can be killed as a whole, silence it, and tie it to its parent."""
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    sys.stdout = sys.stderr = open(null, "w", closefd=False, encoding="utf-8")  # noqa: SIM115  the process is short-lived


def _one_line(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())[:300]
    except Exception:  # an exception of the code under trial, whose __str__ may fail as well
        return "(its message cannot be shown)"


def _outcome(child: int, receiver: int, seconds: float) -> Outcome:
    """Return what the child sends, or how it ended; the child and its children are gone afterwards."""
    deadline = time.monotonic() + seconds
    received, status = b"", None
    try:
        while not _is_whole(received) and status is None:
            if time.monotonic() > deadline:
                return Outcome(trouble=f"has not ended after {seconds:g} seconds")
            # A grandchild may hold the pipe open after the death of the child, so that its end cannot be waited for.
            ended, status = os.waitpid(child, os.WNOHANG)
            status = status if ended else None
            while select.select([receiver], [], [], 0 if ended else _POLL_SECONDS)[0]:
                chunk = os.read(receiver, 65536)
                received += chunk
                if not chunk:
                    break
    finally:
        _kill(child, is_running=status is None)
    if not _is_whole(received):
        return Outcome(trouble=_cause_of_death(status or 0))
    return Outcome(**json.loads(received[8:]))


def _is_whole(received: bytes) -> bool:
    return len(received) >= 8 and len(received) - 8 >= int.from_bytes(received[:8], "big")


def _kill(child: int, *, is_running: bool) -> None:
    for kill in (os.killpg, os.kill) if is_running else (os.killpg,):
        try:
            kill(child, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    if is_running:
        os.waitpid(child, 0)


def _cause_of_death(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"crashes the process ({signal.Signals(-code).name})"
    return f"ends the process with exit code {code}"
