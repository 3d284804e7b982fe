"""Progress on standard error: a line for each configuration that is done, and in a terminal the present step.

No thread draws it, as a spinner would: its thread would take time from the trainings that are measured.
"""

from __future__ import annotations

import sys
from time import monotonic

from harness.bench.speeds import Speed

__all__ = ["Progress"]

_CLEAR_LINE = "\r\x1b[2K"


class Progress:
    """Progress over n configurations or other measurements."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.n_done = 0
        self.started = monotonic()
        self.in_terminal = sys.stderr.isatty()

    def report(self, text: str) -> None:
        """Show the present step, in a terminal only."""
        if self.in_terminal:
            self._write(f"{_CLEAR_LINE}[{self.n_done + 1}/{self.n}] {text}")

    def done(self, speed: Speed) -> None:
        """Write the line of a configuration that is done."""
        outcome = (
            f"{speed.ratio:.2f}x" if speed.ratios and not speed.unequal else "bits differ" if speed.unequal else ""
        )
        self.step_done(speed.name, outcome or "not measured")

    def step_done(self, name: str, outcome: str) -> None:
        """Write the line of something that is done."""
        self.n_done += 1
        self.clear()
        seconds = monotonic() - self.started
        self._write(f"[{self.n_done}/{self.n}] {name}: {outcome} ({seconds:.0f} s)\n")

    def clear(self) -> None:
        """Remove the present step from the terminal."""
        if self.in_terminal:
            self._write(_CLEAR_LINE)

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
