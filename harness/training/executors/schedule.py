"""Order in which waiting runs start: seed by seed, and within a seed the longest first."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import takewhile

from harness.experiment.run_records import RunRecord
from harness.training.executors.events import Job

__all__ = ["Schedule"]


class Schedule:
    """Waiting jobs, of which `next` takes one.

    Seeds stay in the order of the plan, so that an interrupted comparison has nearly the same seeds of every algorithm.
    Within a seed, a long run that starts last would leave the other workers idle, so it starts first. The duration of
    a run is that of the latest one with the same algorithm and environment; until there is one, the plan's order holds.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.waiting = list(jobs)
        self._seconds: dict[tuple[str, str], float] = {}

    def learn(self, record: RunRecord) -> None:
        """Take the duration of a finished run as that of its algorithm in its environment."""
        if record.status == "finished":
            self._seconds[record.spec.algo, record.spec.env] = record.wall_seconds

    def add(self, job: Job) -> None:
        """Let a job wait after all others."""
        self.waiting.append(job)

    def next(self) -> Job:
        """Remove and return the job to start next; raises IndexError if none is waiting."""
        seed = self.waiting[0].spec.seed
        same_seed = list(takewhile(lambda job: job.spec.seed == seed, self.waiting))
        longest = max(range(len(same_seed)), key=lambda index: self._expected(same_seed[index]))
        return self.waiting.pop(longest)

    def _expected(self, job: Job) -> float:
        """Return the expected seconds of a run; infinity if unknown, so that it is soon known."""
        return self._seconds.get((job.spec.algo, job.spec.env), math.inf)
