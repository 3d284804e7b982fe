from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.training.isolation import Outcome, call_isolated


def fail() -> None:
    raise ValueError("a\nb")


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def raise_unspeakable() -> None:
    raise UnspeakableError


def test_the_result_of_a_call_comes_back_as_data() -> None:
    assert call_isolated(lambda: {"a": [1, None, "x" * 200_000]}, 20) == Outcome({"a": [1, None, "x" * 200_000]})


@pytest.mark.parametrize(
    ("function", "trouble"),
    [
        (fail, "raises ValueError: a b"),
        (raise_unspeakable, "raises UnspeakableError: (its message cannot be shown)"),
        (lambda: sys.exit(3), "ends the process (SystemExit: 3)"),
        (lambda: os._exit(3), "ends the process with exit code 3"),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "crashes the process (SIGSEGV)"),
        (lambda: os.kill(os.getpid(), signal.SIGINT), "raises KeyboardInterrupt: "),
        (object, "ends the process with exit code 0"),
    ],
)
def test_a_call_that_fails_in_any_way_is_told_in_words(function: Any, trouble: str) -> None:
    assert call_isolated(function, 20) == Outcome(trouble=trouble)


def test_a_call_that_hangs_is_killed_together_with_its_children(tmp_path: Path) -> None:
    file = tmp_path / "pid"

    def hang() -> None:
        child = os.fork()
        if child:
            file.write_text(str(child))
        time.sleep(1000)

    assert call_isolated(hang, 0.5) == Outcome(trouble="has not ended after 0.5 seconds")
    deadline = time.monotonic() + 10
    while Path(f"/proc/{file.read_text()}").exists() and time.monotonic() < deadline:
        if "\nState:\tZ" in Path(f"/proc/{file.read_text()}/status").read_text():
            break
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{file.read_text()}").exists()


def test_a_grandchild_that_holds_the_pipe_open_does_not_delay_the_answer() -> None:
    def leave_a_child() -> int:
        if os.fork() == 0:
            time.sleep(1000)
        return 5

    start = time.monotonic()

    assert call_isolated(leave_a_child, 30) == Outcome(5)
    assert time.monotonic() - start < 20


def test_nothing_that_a_call_changes_or_prints_remains(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before = Path.cwd()

    def change() -> None:
        os.chdir(tmp_path)
        os.environ["LEFT_BEHIND"] = "1"
        print("noise")

    assert call_isolated(change, 20) == Outcome()
    assert (Path.cwd(), "LEFT_BEHIND" in os.environ) == (before, False)
    assert capfd.readouterr() == ("", "")
