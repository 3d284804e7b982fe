"""Outcome of every run of a round, and their table by the kind of fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import RecordError
from harness.experiment.plan import RunSpec
from harness.experiment.run_records import read_record
from tests.harness.training.same_results import differences

__all__ = ["COLUMNS", "Round", "outcomes", "table"]

COLUMNS = ("rounds", "moments", "runs", "lost", "wrong", "continued", "restarted", "unclean")
"""Columns of the table. continued: runs that ended from a checkpoint; restarted: begun anew after they had started;
unclean: calls with a traceback, an unexpected exit code, or a process that outlived them."""


@dataclass
class Round:
    """Result of one experiment under one kind of fault."""

    kind: str
    moments: int = 0
    """Number of times that a running harness was hit."""
    runs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Label of a run -> its outcomes: lost, wrong, continued, restarted."""
    unclean: list[str] = field(default_factory=list)
    """Reasons why calls were unclean."""

    @property
    def is_good(self) -> bool:
        """True if no run is lost or wrong and no call was unclean."""
        return not self.unclean and not any({"lost", "wrong"} & set(found) for found in self.runs.values())


def outcomes(specs: Iterable[RunSpec], undisturbed: Path, out: Path, starts: Mapping[str, int]) -> dict[str, list[str]]:
    """Return the outcomes of every run below `out/runs`, with the first difference of one that is wrong.

    starts: folder of a run below runs/ -> number of times that it was started.
    """
    return {spec.label: list(_of_run(spec, undisturbed, out, starts)) for spec in specs}


def _of_run(spec: RunSpec, undisturbed: Path, out: Path, starts: Mapping[str, int]) -> Iterable[str]:
    path = out / "runs" / spec.run_dir
    try:
        record = read_record(path)
    except RecordError:
        record = None
    if record is None or record.status != "finished":
        yield "lost"
        return
    try:
        found = [line for line in differences(undisturbed / "runs" / spec.run_dir, path) if line[:7] != "failed-"]
    except Exception as error:  # the file is so damaged that its format cannot be read
        found = [f"{type(error).__name__}: {error}"]
    if found:
        yield "wrong"
        yield found[0]
    if record.resumed_at:
        yield "continued"
    elif starts.get(spec.run_dir, 0) > 1:
        yield "restarted"


def table(rounds: Sequence[Round]) -> str:
    """Return the table in Markdown: a row for each kind in the order of their names, and their sums."""
    sums: dict[str, Counter[str]] = {}
    for one in rounds:
        for row in (sums.setdefault(one.kind, Counter()), sums.setdefault("", Counter())):
            row.update(rounds=1, moments=one.moments, runs=len(one.runs), unclean=len(one.unclean))
            for found in one.runs.values():
                row.update(set(found) & set(COLUMNS))
    total = sums.pop("", Counter())
    lines = [f"| fault | {' | '.join(COLUMNS)} |", f"| --- |{' ---: |' * len(COLUMNS)}"]
    for kind, row in [*sorted(sums.items()), ("all", total)]:
        lines.append(f"| {kind} | {' | '.join(f'{row[column]:,}' for column in COLUMNS)} |")
    return "\n".join(lines)
