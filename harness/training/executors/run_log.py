"""Log of a run: what its process prints, without control characters and of a bounded size."""

from __future__ import annotations

import codecs
from contextlib import suppress
from pathlib import Path
from typing import IO

from harness.experiment.run_folder import LOG_NAME
from harness.printable import printable

__all__ = ["MAX_LOG", "RunLog"]

MAX_LOG = 2**20
"""Characters of a log that are kept; of what follows, only the number is."""


class RunLog:
    """Writes what a run prints into `log.txt`. A log that cannot be written is given up: it never ends a run."""

    def __init__(self, run_path: Path) -> None:
        self.path = run_path / LOG_NAME
        self.size = 0
        self.dropped = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._file: IO[str] | None = None

    def add(self, data: bytes) -> None:
        """Append printed bytes."""
        text = printable(self._decoder.decode(data))
        kept = text[: MAX_LOG - self.size]
        self.dropped += len(text) - len(kept)
        self._write(kept)

    def close(self) -> None:
        """Finish the file."""
        if self.dropped:
            self._write(f"\n... {self.dropped:,} further characters were printed and are not kept\n")
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def _write(self, text: str) -> None:
        if not text:
            return
        self.size += len(text)
        try:
            if self._file is None:
                self._file = self.path.open("a", encoding="utf-8", errors="backslashreplace")
            self._file.write(text)
            self._file.flush()
        except OSError:
            self.dropped += len(text)
