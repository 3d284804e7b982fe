"""Sample output in the documentation: what a block shows below its `$ command` is what the command prints.

python -m tests.docs.samples    runs the commands, and writes their output into the pages
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "Sample", "masked", "printed", "samples"]

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "docs" / "crosscheck.md", ROOT / "docs" / "pytest.md")
BLOCK = re.compile(r"(?<=^```\n)\$ (?P<command>[^\n]+)\n(?P<output>.*?)(?=^```$)", re.MULTILINE | re.DOTALL)

PROGRAMS = {"harness": ("-m", "harness"), "pytest": ("-m", "pytest", "-p", "no:cacheprovider", "-n", "0")}

TEST_FILE = """\
from harness.pytest_plugin import parametrize_with_ppo_checks


@parametrize_with_ppo_checks("my_ppo:MyPPO", envs=("TightBounds",), seeds=(0,))
def test_my_ppo(check):
    check()
"""


@dataclass(frozen=True)
class Sample:
    """One block of a page."""

    page: Path
    command: str
    output: str


def samples(page: Path) -> Iterator[Sample]:
    """Yield the blocks of a page that begin with a command."""
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        yield Sample(page, match["command"], match["output"])


def printed(command: str) -> str:
    """Return what a command prints, run in a folder with the PPO of docs/crosscheck.md and a test of it."""
    text = (ROOT / "docs" / "crosscheck.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(import torch\n.*?)```", text, re.DOTALL)
    program, *arguments = command.split()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "my_ppo.py").write_text(source, encoding="utf-8")
        Path(folder, "test_my_ppo.py").write_text(TEST_FILE, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, *PROGRAMS[program], *arguments],
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    if program == "pytest":  # the error alone: above and below it stands what every pytest prints
        lines = [line for line in lines if re.match(r"[>E] ", f"{line} ")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n"


def masked(output: str) -> str:
    """Return the output without its times, which are other ones each time."""
    return re.sub(r"\b\d+ s\b", "N s", output)


def main() -> None:
    """Write the output of every command anew, unless nothing but its times has changed."""
    known: dict[str, str] = {}
    for sample in (sample for page in PAGES for sample in samples(page)):
        if sample.command not in known:
            output = printed(sample.command)
            known[sample.command] = sample.output if masked(sample.output) == masked(output) else output
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        page.write_text(
            BLOCK.sub(lambda match: f"$ {match['command']}\n{known[match['command']]}", text), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
