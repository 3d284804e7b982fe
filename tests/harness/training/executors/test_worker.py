from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.errors import HarnessError
from harness.experiment.run_records import RunRecord, read_record
from harness.training.executors import worker
from harness.training.executors.events import Job
from harness.training.executors.messages import Beat, Unwritable
from harness.training.progress import Progress
from tests.harness.toy_subjects import FAULTY_ENV, MODULE, tiny_spec


@pytest.fixture
def pipe() -> Iterator[tuple[Any, Any]]:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    handler = signal.getsignal(signal.SIGINT)
    yield receiver, sender
    signal.signal(signal.SIGINT, handler)
    receiver.close()
    sender.close()


def received(receiver: Any) -> list[Any]:
    found = []
    while receiver.poll():
        found.append(receiver.recv())
    return found


def test_a_run_sends_its_progress_and_then_its_record(pipe: tuple[Any, Any], tmp_path: Path) -> None:
    worker.run_main(Job(tiny_spec(env=FAULTY_ENV, n_timesteps=128), tmp_path), pipe[1])

    *progress, record = received(pipe[0])
    assert all(isinstance(message, Progress) for message in progress)
    assert isinstance(record, RunRecord)
    assert record == read_record(tmp_path)


def test_a_worker_ignores_ctrl_c_and_computes_on_one_thread(pipe: tuple[Any, Any]) -> None:
    worker.call_main(f"{MODULE}:add", (2, 3), pipe[1])

    assert received(pipe[0]) == [5]
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert torch.get_num_threads() == 1


def test_a_record_that_cannot_be_written_is_reported(pipe: tuple[Any, Any], tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")

    worker.run_main(Job(tiny_spec(env=FAULTY_ENV), tmp_path / "taken" / "run"), pipe[1])

    (message,) = [message for message in received(pipe[0]) if not isinstance(message, Beat)]
    assert isinstance(message, Unwritable)
    assert message.reason.startswith("NotADirectoryError: [Errno 20] Not a directory: ")


def test_an_exception_is_sent_in_one_line_and_printed_in_full(
    pipe: tuple[Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    worker.call_main(f"{MODULE}:fail", (), pipe[1])

    (error,) = received(pipe[0])
    assert isinstance(error, HarnessError)
    assert str(error) == "ZeroDivisionError: one by nothing"
    assert 'raise ZeroDivisionError("one' in capsys.readouterr().err


def test_the_watch_on_the_parent_ends_in_the_main_process() -> None:
    thread = threading.Thread(target=worker._die_with_parent)
    thread.start()
    thread.join(timeout=60)

    assert not thread.is_alive()
