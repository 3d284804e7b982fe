"""Calls of `harness compare` as processes that are watched from outside, and moments at which to hit them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from harness.training.executors.processes import children_of
from tests.harness.processes import is_running

__all__ = ["MOMENTS", "Call", "send", "wait_for_moment"]

ROOT = Path(__file__).parents[3]

# The report takes longer than the runs, and is made from what they leave.
SCRIPT = """
import sys
import harness.analysis.report as report
report.write_report = lambda *_, **__: None
from harness.cli import main
sys.argv = ["harness", "compare", *sys.argv[1:]]
if __name__ == "__main__":
    main()
"""

LONGEST_CALL = 900.0
"""Seconds after which a call hangs."""

MOMENTS = ("loading", "a worker", "a checkpoint", "a checkpoint", "a record")
"""Events from which a random time passes before a fault; "loading" is the start of the call itself."""

_LONGEST_WAIT = {"loading": 8.0, "a record": 0.5}


class Patience:
    """Number of seconds that may be waited, without those in which this process itself was suspended."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._seen = time.monotonic()

    def is_left(self) -> bool:
        """Return True until the seconds have passed; must be asked several times a second."""
        now = time.monotonic()
        self._left -= min(now - self._seen, 1.0)
        self._seen = now
        return self._left > 0.0


class Call:
    """One call of `harness compare` on an experiment. Its output goes to files, as a pipe that is full would block it.

    folder: where the experiment `campaign.yml` is; out: folder of its results.
    """

    def __init__(self, folder: Path, out: Path, *options: str) -> None:
        self.out = out
        self.began = time.time()
        number = len(list(folder.glob("*.out")))
        self._texts = folder / f"{number}.out", folder / f"{number}.err"
        arguments = [str(folder / "campaign.yml"), "--out", str(out), "--workers", "2", "--json-progress", *options]
        with self._texts[0].open("wb") as output, self._texts[1].open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SCRIPT, *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=output,
                stderr=errors,
            )
        self.descendants: set[int] = set()

    @property
    def pid(self) -> int:
        """Process id of the harness."""
        return self.process.pid

    def is_running(self) -> bool:
        """Return True until the harness has ended."""
        return self.process.poll() is None

    def look(self) -> None:
        """Remember the descendants that the harness has now."""
        found = [self.pid]
        for parent in found:  # grows while it is read
            found += [child for child in children_of(parent) if child not in found]
        self.descendants.update(found[1:])

    def workers(self) -> list[int]:
        """Return the ids of workers: their parent is the forkserver, a child of the harness."""
        return [pid for child in children_of(self.pid) for pid in children_of(child) if is_running(pid)]

    def kill(self) -> None:
        """Kill the harness alone, and wait for its end."""
        self.process.kill()
        self.process.wait()

    def end(self, seconds: float = LONGEST_CALL) -> int:
        """Wait until the harness has ended; return its exit code. One that hangs is killed after so many seconds."""
        patience = Patience(seconds)
        while self.is_running() and patience.is_left():
            self.look()
            time.sleep(0.02)
        if self.is_running():
            self.kill()
        code: int = self.process.returncode
        return code

    def survivors(self) -> list[int]:
        """Return the ids of descendants that still run ten seconds after the end of the harness.

        Workers of a killed harness end at once. The forkserver has all libraries, and takes seconds on a busy machine.
        """
        patience = Patience(10.0)
        while any(is_running(pid) for pid in self.descendants) and patience.is_left():
            time.sleep(0.02)
        return [pid for pid in self.descendants if is_running(pid)]

    def messages(self) -> str:
        """Return what the harness has printed for people."""
        return self._texts[1].read_text(encoding="utf-8", errors="replace")

    def started_runs(self) -> Iterator[str]:
        """Yield the folder of a run below runs/ for each of its starts."""
        for line in self._texts[0].read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):  # the last line of a killed harness may be cut
                event = json.loads(line)
                if event["event"] == "started":
                    yield event["run"]


def wait_for_moment(call: Call, moment: str, chance: random.Random) -> bool:
    """Wait for an event of MOMENTS and a random time after it; return False if the harness has ended before."""
    wait = chance.uniform(0.0, _LONGEST_WAIT.get(moment, 2.0))
    hit_at: float | None = None
    while call.is_running():
        call.look()
        if hit_at is None and _has_come(moment, call):
            hit_at = time.monotonic() + wait
        if hit_at is not None and time.monotonic() >= hit_at:
            return True
        time.sleep(0.01)
    return False


def _has_come(moment: str, call: Call) -> bool:
    match moment:
        case "a worker":
            return bool(call.workers())
        case "a checkpoint":
            return _was_written("checkpoint.bin", call)
        case "a record":
            return _was_written("run.json", call)
    return True


def _was_written(name: str, call: Call) -> bool:
    """Return True if a run has written a file of this name since the call began; checkpoints vanish when runs end."""
    with suppress(FileNotFoundError):
        for path in call.out.glob(f"runs/*/*/{name}"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime > call.began:
                    return True
    return False


def send(call: Call, number: signal.Signals) -> None:
    """Send a signal to the harness alone."""
    with suppress(ProcessLookupError):
        call.process.send_signal(number)
