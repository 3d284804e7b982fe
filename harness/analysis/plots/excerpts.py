"""Parts of results that one page of a figure shows: some of the environments, and some of many algorithms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.analysis.frames import Results
from harness.analysis.plots.registry import Pages

__all__ = ["MOST_ALGOS", "Excerpt", "excerpts"]

MOST_ALGOS = 12
"""Algorithms that a figure shows; of more, those that rank highest."""


@dataclass(frozen=True)
class Excerpt:
    """Results for one page, and what its caption must say about those that it leaves out."""

    page: int
    results: Results
    left_out: str


def excerpts(results: Results, pages: Pages) -> Iterator[Excerpt]:
    """Yield the results of each page, of at most `pages.most_pages`."""
    envs, algos = results.envs, _shown_algos(results)
    per_page = pages.envs_per_page
    starts = range(0, min(len(envs), per_page * pages.most_pages), per_page)
    for page, start in enumerate(starts, 1):
        shown = envs[start : start + per_page]
        told = []
        if len(algos) < len(results.algos):
            told.append(
                f"Shown are the {len(algos)} of {len(results.algos)} algorithms with the highest mean rank of scores."
            )
        if len(shown) < len(envs):
            last = (
                f"; those from {starts[-1] + per_page + 1} on are in the tables"
                if starts[-1] + per_page < len(envs)
                else ""
            )
            told.append(f"Environments {start + 1} to {start + len(shown)} of {len(envs)}{last}.")
        part = results if not told else _restricted(results, shown, algos)
        yield Excerpt(page, part, " ".join(told))


def _shown_algos(results: Results) -> tuple[str, ...]:
    """Return the algorithms that figures show, in their order; a rank counts from 0 (lowest score) to 1."""
    if len(results.algos) <= MOST_ALGOS:
        return results.algos
    means = results.runs.groupby(["env", "algo"], observed=True)["score"].mean()
    ranks = means.groupby("env", observed=True).rank(pct=True).groupby("algo", observed=True).mean()
    best = ranks.sort_values(ascending=False, kind="stable").index[:MOST_ALGOS]
    return tuple(algo for algo in results.algos if algo in set(best))


def _restricted(results: Results, envs: Sequence[str], algos: Sequence[str]) -> Results:
    def keep(table: pd.DataFrame) -> pd.DataFrame:
        codes = {
            name: table[name].cat.categories.get_indexer(pd.Index(list(kept)))
            for name, kept in (("env", envs), ("algo", algos))
        }
        chosen = np.isin(table["env"].cat.codes, codes["env"]) & np.isin(table["algo"].cat.codes, codes["algo"])
        own = table[chosen].reset_index(drop=True)
        return own.assign(
            env=own["env"].cat.set_categories(list(envs), ordered=True),
            algo=own["algo"].cat.set_categories(list(algos), ordered=True),
        )

    return Results(keep(results.runs), keep(results.episodes), keep(results.evaluations), keep(results.progress))
