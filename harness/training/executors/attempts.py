"""Attempts of runs: decide for every executor whether a failed run is started again."""

from __future__ import annotations

from collections import Counter

from harness.experiment.run_records import RunRecord
from harness.training.executors.events import Job

__all__ = ["Attempts"]


class Attempts:
    """Counts the failed attempts of each job. Earlier records stay in its folder as failed-N.json."""

    def __init__(self, retries: int) -> None:
        self.retries = retries
        self._failures: Counter[str] = Counter()

    def again(self, job: Job, record: RunRecord) -> bool:
        """Return True if the job failed and must be started again."""
        if record.status != "failed":
            return False
        self._failures[job.spec.run_dir] += 1
        return self._failures[job.spec.run_dir] <= self.retries
