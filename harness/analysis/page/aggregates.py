"""Verdict over environments in sentences, and the words above the section of aggregates."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from harness.analysis.page.repeats import Copies
from harness.analysis.page.sentences import MOST_SENTENCES, RELATIONS, Sentence

__all__ = ["AGGREGATE_TABLES", "aggregate_lead", "aggregate_sentences", "without_copies"]

AGGREGATE_TABLES = ("aggregates", "aggregate_pairs", "profiles", "references")
"""Tables over environments, which a report has if two environments or more have reference scores."""


def aggregate_sentences(tables: Mapping[str, pd.DataFrame], copies: Copies) -> list[Sentence]:
    """Return the verdict on each pair over all tasks, the strongest first; none if there are too many pairs.

    Pairs that repeat another one for a bit-equal copy are left out.
    """
    if "aggregate_pairs" not in tables:
        return []
    rows = without_copies(tables["aggregate_pairs"], copies)
    if len(rows) > MOST_SENTENCES:
        counts = rows["verdict"].value_counts()
        told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in RELATIONS if counts.get(outcome))
        return [Sentence("", f"Over environments, of {len(rows)} pairs: {told}; see Over environments.")]
    return [
        _sentence({str(key): value for key, value in row.items()})
        for outcome in RELATIONS
        for row in rows[rows["verdict"] == outcome].to_dict("records")
    ]


def _sentence(row: Mapping[str, object]) -> Sentence:
    outcome, first, second = str(row["verdict"]), row["first"], row["second"]
    place = f"over {row['n_tasks']} tasks together"
    details = (f"{row['tasks']}: {row['reason']}",)
    if outcome == "inconclusive":
        return Sentence(outcome, f"{first} against {second} {place}: inconclusive.", details)
    return Sentence(outcome, f"{first} {RELATIONS[outcome]} {second} {place}.", details)


def without_copies(pairs: pd.DataFrame, copies: Copies) -> pd.DataFrame:
    """Return the rows of pairs over environments without those of a bit-equal copy of another algorithm."""
    return pairs[~(pairs["first"].isin(copies.everywhere) | pairs["second"].isin(copies.everywhere))]


def aggregate_lead(tables: Mapping[str, pd.DataFrame], n_envs: int) -> str | None:
    """Return the sentences above the section over environments; None if there is only one environment."""
    if n_envs < 2:
        return None
    if "references" not in tables:
        return (
            "None: fewer than two environments have reference scores, without which returns of different environments "
            "have no common scale. Declare them as statistics.references, or with --reference ENV=RANDOM:BEST."
        )
    references = tables["references"]
    left_out = [str(env) for env in references.loc[references["used"] == "no", "env"]]
    n_used = len(references) - len(left_out)
    lead = (
        f"Scores of {n_used} environments on one scale, 0 for random actions and 1 for the reference; every "
        "environment counts equally, and nothing is said of others. The verdict is on the mean normalised score, "
        "tested by exchanging seeds within each environment."
    )
    if left_out:
        named = ", ".join(left_out[:6]) + (f" and {len(left_out) - 6} more" if len(left_out) > 6 else "")
        lead += f" Left out, as no reference scores are known: {named}."
    return lead
