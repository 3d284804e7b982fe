from __future__ import annotations

import pytest

from harness.printable import message_of, one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [text] ü 漢", "plain [text] ü 漢"),
        ("\x1b[2J\x07\x00", r"\x1b[2J\x07\x00"),
        ("a\nb\tc\rd", "a\nb\tc\\rd"),
        ("\u202eevil\u2066", r"\u202eevil\u2066"),
        ("half \udc80", r"half \udc80"),
        ("\x9b31m", r"\x9b31m"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_instead(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_one_line_is_shortened_at_its_end() -> None:
    assert one_line("a\n  b\tc") == "a b c"
    assert one_line("x" * 50, 20) == "x" * 16 + " ..."
    assert len(one_line("\x1b" * 10**6)) <= 2_000
    assert one_line(" " * 10**6 + "late").endswith("...")


class SilentError(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


def test_a_message_that_cannot_be_made_is_told() -> None:
    assert message_of(ValueError("a\nb")) == "a b"
    assert message_of(SilentError()) == "(its message cannot be shown: str() raises KeyboardInterrupt)"
