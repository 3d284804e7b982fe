"""Kinds of faults, each of which hits a running call of the harness once."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness.campaign.calls import Call, send

__all__ = ["FAULTS", "FULL_DISK", "OPTIONS", "Target", "corrupt"]

FULL_DISK = "full disk"

OPTIONS: Mapping[str, tuple[str, ...]] = {"stop worker": ("--stall-limit", "4s")}
"""Kind -> options of every call in a round of this kind."""


@dataclass
class Target:
    """Call that is hit, and those that a fault starts beside it."""

    folder: Path
    out: Path
    call: Call
    options: tuple[str, ...]
    others: list[Call] = field(default_factory=list)

    def start_other(self) -> Call:
        """Start a second harness on the same folder of results."""
        other = Call(self.folder, self.out, *self.options)
        self.others.append(other)
        return other


def kill_harness(target: Target, chance: random.Random) -> None:
    """Kill the harness with SIGKILL."""
    target.call.kill()


def kill_worker(target: Target, chance: random.Random) -> None:
    """Kill a worker with SIGKILL."""
    _signal_worker(target, chance, signal.SIGKILL)


def stop_worker(target: Target, chance: random.Random) -> None:
    """Stop a worker with SIGSTOP: only the stall limit ends it."""
    _signal_worker(target, chance, signal.SIGSTOP)


def terminate(target: Target, chance: random.Random) -> None:
    """Send SIGTERM to the harness."""
    send(target.call, signal.SIGTERM)


def interrupt(target: Target, chance: random.Random) -> None:
    """Send SIGINT to the harness, half of the times twice."""
    send(target.call, signal.SIGINT)
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0.0, 0.5))
        send(target.call, signal.SIGINT)


def damage_files(target: Target, chance: random.Random) -> None:
    """Kill the harness, and damage one to three files of its results."""
    target.call.kill()
    target.call.survivors()  # workers end within milliseconds
    for _ in range(chance.randint(1, 3)):
        corrupt(target.out, chance)


def second_harness(target: Target, chance: random.Random) -> None:
    """Start a second harness on the same folder, which must refuse to run."""
    other = target.start_other()
    other.end()
    if target.call.is_running():
        assert "is writing here" in other.messages(), other.messages()


def second_harness_and_kill(target: Target, chance: random.Random) -> None:
    """Start a second harness on the same folder, and kill one of both with SIGKILL while it starts."""
    other = target.start_other()
    deadline = time.monotonic() + chance.uniform(0.0, 8.0)
    while time.monotonic() < deadline:
        target.call.look()
        other.look()
        time.sleep(0.02)
    chance.choice((target.call, other)).kill()


def full_disk(target: Target, chance: random.Random) -> None:
    """Fill the disk of the results but for at most 256 KiB, until the harness has ended."""
    filler = target.out.parent / "filler"
    rest = chance.choice((0, chance.randrange(2**12), chance.randrange(2**18)))
    try:
        with filler.open("wb") as file:
            free = shutil.disk_usage(filler).free
            with suppress(OSError):  # the runs have taken what was free
                os.posix_fallocate(file.fileno(), 0, max(free - rest, 1))
        target.call.end()
    finally:
        filler.unlink()


def corrupt(out: Path, chance: random.Random) -> None:
    """Truncate, overwrite, change by one bit, or remove one file of the results."""
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.name != ".lock")
    if not files:
        return
    path = chance.choice(files)
    content = path.read_bytes()
    place = chance.randrange(len(content) + 1)
    damages = ["truncate", "truncate", "zeros", "bit", "remove"]
    if path.suffix in (".zip", ".pkl", ".yml") and any((parent / "run.json").exists() for parent in path.parents):
        damages.remove("remove")  # a finished run may lack its models, which users remove to save space
    match chance.choice(damages):
        case "truncate":
            path.write_bytes(content[:place])
        case "zeros":  # as a file system leaves blocks that were not yet written at a power failure
            path.write_bytes(content[:place] + bytes(len(content) - place))
        case "bit" if content:
            place = min(place, len(content) - 1)
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        case "remove":
            path.unlink()


def _signal_worker(target: Target, chance: random.Random, number: signal.Signals) -> None:
    found = target.call.workers()
    if found:
        with suppress(ProcessLookupError):
            os.kill(chance.choice(found), number)


FAULTS: Mapping[str, Callable[[Target, random.Random], None]] = {
    "kill harness": kill_harness,
    "kill worker": kill_worker,
    "stop worker": stop_worker,
    "terminate": terminate,
    "interrupt": interrupt,
    "damage files": damage_files,
    "second harness": second_harness,
    "second harness, one killed": second_harness_and_kill,
    FULL_DISK: full_disk,
}
"""Kind -> function that hits a call."""
