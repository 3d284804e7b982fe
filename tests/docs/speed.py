"""Tables of docs/speed.md, and of README.md where it has a place for them, from records in results/published.

`speed.json` holds trainings, and `execution.json` whole experiments: `harness bench --only execution --json FILE`.

python -m tests.docs.speed    writes them anew
"""

from __future__ import annotations

import re
from pathlib import Path

from harness.bench.configurations import NOTES
from harness.bench.execution.grid import execution_grid
from harness.bench.machine import BUSY_LOAD, describe
from harness.bench.peer_speeds import peer_grid
from harness.bench.records import BenchRecord, read_record
from harness.bench.speeds import geometric_mean
from harness.bench.tables import as_markdown, mean_line, parts_grid, speed_grid

__all__ = ["PAGES", "RECORD", "execution_section", "sections", "with_sections"]

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "results" / "published" / "speed.json"
EXECUTION_RECORD = RECORD.with_name("execution.json")
PAGES = (ROOT / "docs" / "speed.md", ROOT / "README.md")


def sections(record: BenchRecord) -> dict[str, str]:
    """Return the text of each section by the name in its comments: `<!-- begin: NAME -->` and `<!-- end: NAME -->`."""
    mean = geometric_mean(record.speeds)
    machine = describe(record.machine).replace("\n", "; ")
    missing = [f"Not measured: {speed.name}, {speed.problem}." for speed in record.speeds if speed.problem]
    summary = "" if mean is None else f"**G{mean_line(mean)[1:]}.**"
    n_pairs = max((len(speed.ratios) for speed in record.speeds), default=0)
    where = f"{machine}. {n_pairs} pairs each, {_when(record)}"
    table = as_markdown(speed_grid(record.speeds, NOTES))
    return {
        "speed": "\n\n".join([summary, table, where, *missing]),
        "parts": as_markdown(parts_grid(record.speeds)),
        "peers": as_markdown(peer_grid(record.peers)),
    }


def execution_section(record: BenchRecord) -> str:
    """Return the text of the section about whole experiments."""
    missing = [f"Not measured: {name}, {problem}." for name, problem in record.problems.items()]
    machine = describe(record.machine).replace("\n", "; ")
    return "\n\n".join([as_markdown(execution_grid(record.execution)), f"{machine}. {_when(record)}", *missing])


def _when(record: BenchRecord) -> str:
    load = record.machine["load_average"]
    busy = (
        " The load average is that of the minute before the measurement."
        if load is not None and load > BUSY_LOAD
        else ""
    )
    return f"{record.machine['time'][:10]}.{busy}"


def with_sections(page: str, record: BenchRecord) -> str:
    """Return a page with the sections that it has comments for."""
    texts = sections(record)
    if EXECUTION_RECORD.exists():
        texts["execution"] = execution_section(read_record(EXECUTION_RECORD))
    for name, text in texts.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        between = re.compile(f"(?<={re.escape(begin)}).*?(?={re.escape(end)})", re.DOTALL)
        page = between.sub(lambda _, text=text: f"\n\n{text}\n\n", page)  # type: ignore[misc]
    return page


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(with_sections(path.read_text(encoding="utf-8"), read_record(RECORD)), encoding="utf-8")
