"""Speeds of other implementations, and a table of them. No torch is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness.bench.tables import Grid

__all__ = ["PeerSpeed", "peer_grid"]


@dataclass(frozen=True)
class PeerSpeed:
    """Speed of a peer in one configuration, or the reason why there is none."""

    name: str
    """Name of the configuration."""

    peer: str
    version: str = ""
    ratios: tuple[float, ...] = ()
    """Seconds of SB3 divided by those of the peer, for each pair."""

    problem: str = ""


def peer_grid(found: Sequence[PeerSpeed]) -> Grid:
    """Return a row for each peer in each configuration."""
    rows = []
    for speed in found:
        if speed.ratios:
            spread = f"{min(speed.ratios):.2f}-{max(speed.ratios):.2f}"
            rows.append((speed.name, speed.peer, speed.version, f"{median(speed.ratios):.2f}x", spread))
        else:
            rows.append((speed.name, speed.peer, speed.problem, "", ""))
    columns = ("configuration", "peer", "version", "ratio", "min-max")
    return Grid("Other implementations relative to SB3; their bits differ from SB3's", columns, tuple(rows), 3)
