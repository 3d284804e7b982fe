from __future__ import annotations

import os
import select
import signal
import threading

import pytest

from harness.training.executors.stopping import STOP_SIGNALS, Interrupted, stop_on_signals


def kill_myself(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_the_first_signal_is_a_request_and_the_second_ends_all(number: signal.Signals) -> None:
    with pytest.raises(Interrupted) as error, stop_on_signals() as stop:  # noqa: PT012  the second signal raises
        stop.is_heeded = True
        kill_myself(number)
        assert stop.requested
        assert select.select([stop], [], [], 0)[0] == [stop]
        kill_myself(signal.SIGINT)

    assert error.value.number == signal.SIGINT


def test_a_signal_ends_all_where_nobody_heeds_a_request() -> None:
    with pytest.raises(Interrupted) as error, stop_on_signals():
        kill_myself(signal.SIGTERM)

    assert error.value.number == signal.SIGTERM


def test_handlers_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    with stop_on_signals():
        assert [signal.getsignal(number) for number in STOP_SIGNALS] != before

    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals() as stop:
            kill_myself(signal.SIGHUP)
            assert not stop.requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_has_no_handlers_and_no_error() -> None:
    requested: list[bool] = []

    def use() -> None:
        with stop_on_signals() as stop:
            requested.append(stop.requested)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()

    assert requested == [False]
