"""Durations and sizes as people write them: "90", "30m", "1h30m"; "800M", "4G"."""

from __future__ import annotations

import re
from contextlib import suppress

__all__ = ["DURATION", "SIZE", "parse_duration", "parse_size"]

DURATION = "seconds or text such as 1h30m"
SIZE = "bytes or text such as 4G"

_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_BYTES = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_LARGEST = 1e15


def parse_duration(value: object) -> float:
    """Return seconds, more than 0; raise ValueError for anything else than `DURATION`."""
    if isinstance(value, str) and len(value) < 40:
        parts = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", value.strip(), flags=re.ASCII)
        if parts is not None and any(parts.groups()):
            value = sum(int(number or 0) * unit for number, unit in zip(parts.groups(), _SECONDS.values(), strict=True))
    return _positive(value, DURATION)


def parse_size(value: object) -> int:
    """Return bytes, more than 0; raise ValueError for anything else than `SIZE`."""
    if isinstance(value, str) and len(value) < 40:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])(?:i?B)?", value.strip(), flags=re.ASCII)
        if found is not None:
            value = float(found[1]) * _BYTES[found[2]]
    return int(_positive(value, SIZE))


def _positive(value: object, expected: str) -> float:
    given = value
    if isinstance(value, str) and len(value) < 40:
        with suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LARGEST:
        raise ValueError(f"expected {expected}, got {given!r:.40}")
    return float(value)
