"""Algorithms that repeat another one bit for bit, of which a table needs to speak only once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["Copies", "find_copies"]


@dataclass(frozen=True)
class Copies:
    """Copies of algorithms: each with the first algorithm in whose place it could stand."""

    by_env: Mapping[tuple[str, str], str]
    """(environment, copy) -> original."""

    everywhere: Mapping[str, str]
    """Copy -> original, for those that are identical in every environment."""

    def without_repeats(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a table of comparisons without those that repeat another row for a copy.

        The row that says that two algorithms are identical stays, once.
        table: columns env, first, second.
        """
        keep = [
            self.by_env.get((str(env), str(second))) == str(first) or not self._copied(env, first, second)
            for env, first, second in zip(table["env"], table["first"], table["second"], strict=True)
        ]
        return table[np.array(keep, dtype=bool)]

    def _copied(self, env: object, *algos: object) -> bool:
        return any((str(env), str(algo)) in self.by_env for algo in algos)


def find_copies(pairwise: pd.DataFrame) -> Copies:
    """Return the copies that a table of comparisons shows: the second of two identical algorithms is one.

    pairwise: from `pairwise_table`.
    """
    by_env: dict[tuple[str, str], str] = {}
    rows = pairwise[pairwise["verdict"] == "identical"]
    for env, first, second in zip(rows["env"], rows["first"], rows["second"], strict=True):
        original = by_env.get((str(env), str(first)), str(first))
        by_env.setdefault((str(env), str(second)), original)
    everywhere: dict[str, str] = {}
    for copy in dict.fromkeys(algo for _, algo in by_env):
        own = pairwise[(pairwise["first"] == copy) | (pairwise["second"] == copy)]
        originals = {by_env.get((str(env), copy)) for env in own["env"].unique()}
        same = originals.pop() if len(originals) == 1 else None
        if same is not None:
            everywhere[copy] = same
    return Copies(by_env, everywhere)
