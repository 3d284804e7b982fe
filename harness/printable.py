"""Text of unknown origin made safe to show: no control characters, a bounded length, no exception of its own."""

from __future__ import annotations

__all__ = ["MAX_MESSAGE", "message_of", "one_line", "printable"]

MAX_MESSAGE = 2_000
"""Largest length of the message of an error in a record, in characters."""


def printable(text: str, *, keep: str = "\n\t") -> str:
    r"""Return text in which every character that is not printable is written as an escape such as "\x1b".

    keep: characters that stay as they are although they are not printable. Escape sequences of terminals, changes of
    the direction of writing, and parts of broken Unicode are then shown instead of obeyed.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character in keep or character.isprintable() else _escaped(character) for character in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def one_line(text: str, limit: int = MAX_MESSAGE) -> str:
    """Return text as one printable line of at most `limit` characters, which ends with " ..." if it was shortened."""
    # Cut before it is split: the text may have the size of a batch, or of the memory.
    line = printable(" ".join(text[: 4 * limit].split()), keep="")
    return line if len(line) <= limit and len(text) <= 4 * limit else line[: limit - 4].rstrip() + " ..."


def message_of(error: BaseException, limit: int = MAX_MESSAGE) -> str:
    """Return the message of an exception as one printable line, also if the exception cannot be turned into text."""
    try:
        text = str(error)
    except BaseException as second:  # the class of the exception may be anybody's
        return f"(its message cannot be shown: str() raises {type(second).__name__})"
    return one_line(text, limit)
