"""Training speeds of CustomPPO and SB3's PPO, and a table of them. The module does not import torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rich import box
from rich.table import Table

__all__ = ["Speed", "bench_table"]


@dataclass(frozen=True)
class Speed:
    """Steps per second of both implementations in one setting, for each pair of runs."""

    env: str
    n_envs: int
    batch_size: int
    custom: tuple[float, ...]
    sb3: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Speed of CustomPPO divided by that of SB3's PPO, for each pair."""
        return tuple(ours / theirs for ours, theirs in zip(self.custom, self.sb3, strict=True))


def bench_table(found: Sequence[Speed]) -> Table:
    """Return a table with a row for each setting: median speeds, and median and range of the ratios."""
    title = "Training speed, steps per second"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("environment", "n_envs", "batch_size", "custom_ppo", "ppo (SB3)", "ratio", "lowest - highest"):
        table.add_column(column, justify="left" if column == "environment" else "right")
    for speed in found:
        ratios = speed.ratios
        table.add_row(
            speed.env,
            str(speed.n_envs),
            str(speed.batch_size),
            f"{median(speed.custom):,.0f}",
            f"{median(speed.sb3):,.0f}",
            f"{median(ratios):.2f}",
            f"{min(ratios):.2f} - {max(ratios):.2f}",
        )
    return table
