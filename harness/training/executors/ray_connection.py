"""Connect to a Ray cluster that exists already, in a bounded time, and tell in one line why that is not possible.

Ray is imported here, and only when a connection is asked for.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from harness.errors import HarnessError
from harness.printable import message_of, one_line

__all__ = ["AUTO", "connected", "import_ray"]

AUTO = "auto"
"""Address of the cluster that runs on this machine, or that the variable RAY_ADDRESS names."""

ANSWER_SECONDS = 10.0
"""Time for the head of a cluster to accept a connection."""

_CLIENT = "ray://"


def import_ray() -> Any:
    """Return the module ray; raise HarnessError if it is not installed."""
    try:
        return import_module("ray")
    except ImportError as error:
        raise HarnessError(
            f"--executor ray: ray cannot be imported ({message_of(error)}); the extra [ray] of this project installs "
            "it: pip install '.[ray]'"
        ) from error


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Yield the module ray while this process is connected to a cluster.

    address: HOST:PORT of the head, ray://HOST:PORT for a machine that is no node of the cluster, or AUTO. A connection
        that the program has made itself is used, and stays.
    Raises HarnessError if there is no cluster at the address; that takes two minutes at most.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    place = os.environ.get("RAY_ADDRESS", AUTO) if address == AUTO else address
    _check_that_it_listens(place)
    # Ray replaces the handler of SIGTERM, by which the harness comes to a safe end.
    before = signal.getsignal(signal.SIGTERM)
    try:
        with _without_messages(ray):
            _connect(ray, place)
            _restore(before)
            yield ray
    finally:
        ray.shutdown()
        _restore(before)


def _connect(ray: Any, address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    # SystemExit: Ray ends the process if a port answers, but no cluster behind it.
    except (Exception, SystemExit) as error:
        reason = "it does not answer as a Ray cluster does" if isinstance(error, SystemExit) else message_of(error)
        raise _unreachable(address, reason) from error


def _unreachable(address: str, reason: str) -> HarnessError:
    where = "on this machine" if address == AUTO else f"at {one_line(address, 100)}"
    return HarnessError(
        f"--address: no Ray cluster can be reached {where} ({one_line(reason, 200)}); "
        "start one with `ray start --head`, or give the HOST:PORT of its head"
    )


def _check_that_it_listens(address: str) -> None:
    """Raise HarnessError if nothing listens at an address: Ray itself would try for minutes."""
    host, colon, port = address.removeprefix(_CLIENT).partition("/")[0].rpartition(":")
    if not colon:
        return  # a name such as "auto", which Ray looks up on this machine
    if not port.isdecimal():
        raise _unreachable(address, "expected HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, getattr(error, "strerror", None) or message_of(error)) from error


def _restore(handler: Any) -> None:
    try:
        signal.signal(signal.SIGTERM, handler)
    except (ValueError, TypeError):  # another thread than the main one, where Ray has replaced nothing
        return


@contextmanager
def _without_messages(ray: Any) -> Iterator[None]:
    """Keep Ray from printing on standard output, which holds the progress; the harness tells of lost machines itself.

    There is no setting for that: `log_to_driver` concerns what workers print, and not what Ray reports of its nodes.
    """
    worker = ray._private.worker
    original = getattr(worker, "print_to_stdstream", None)
    if original is None:  # another version of Ray
        yield
        return
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = original
