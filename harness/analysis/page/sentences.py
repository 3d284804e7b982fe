"""Verdict of a report in sentences: the outcome of every pair over all environments, and what limits it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pandas as pd

from harness.analysis.page.repeats import Copies
from harness.analysis.tables.formats import interval, number
from harness.config import StatisticsConfig

__all__ = ["MOST_SENTENCES", "Sentence", "caveats", "verdict_sentences"]

MOST_SENTENCES = 12
"""Pairs that get a sentence each; of more pairs there is a sentence for each algorithm."""

FEW_SEEDS = 5
_ENVIRONMENTS_NAMED = 6

RELATIONS = {
    "identical": "is identical to",
    "better": "is better than",
    "worse": "is worse than",
    "equivalent": "is equivalent to",
    "inconclusive": "against",
}
"""Words between two algorithms for each outcome, in the order in which outcomes are told."""


@dataclass(frozen=True)
class Sentence:
    """One statement: its outcome, which decides its colour, its text, and details below it."""

    outcome: str
    text: str
    details: tuple[str, ...] = field(default=())


def verdict_sentences(pairwise: pd.DataFrame, copies: Copies) -> list[Sentence]:
    """Return the outcome of the comparisons of scores, the strongest statements first.

    pairwise: from `pairwise_table`. copies: algorithms that repeat another one bit for bit, of which it is said once.
    """
    told = copies.without_repeats(pairwise)
    pairs = list(dict.fromkeys(zip(told["first"], told["second"], strict=True)))
    if len(pairs) > MOST_SENTENCES:
        return list(_by_algorithm(told))
    sentences = [
        _of_pair(
            str(first), str(second), outcome, rows, int(((told["first"] == first) & (told["second"] == second)).sum())
        )
        for outcome in RELATIONS
        for (first, second), rows in told[told["verdict"] == outcome].groupby(["first", "second"], sort=False)
    ]
    sentences += [
        Sentence("identical", f"All that is said of {original} here holds for {copy}, too, as the two are identical.")
        for copy, original in copies.everywhere.items()
    ]
    return sentences


def _of_pair(first: str, second: str, outcome: str, rows: pd.DataFrame, n_envs: int) -> Sentence:
    envs = [str(env) for env in rows["env"]]
    place = _places(envs, n_envs)
    records = [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]
    if outcome == "identical":
        n_seeds = " and ".join(sorted({str(row["n_first"]) for row in records}, key=int))
        text = (
            f"{first} is identical to {second} {place}: the trained parameters are bit-equal for all {n_seeds} seeds."
        )
        return Sentence(outcome, text)
    details = tuple(
        f"{row['env']}: {first} − {second} = {interval('difference')(row)}, {row['reason']}" for row in records
    )
    if outcome == "inconclusive":
        return Sentence(outcome, f"{first} against {second} {place}: inconclusive.", details)
    return Sentence(outcome, f"{first} {RELATIONS[outcome]} {second} {place}.", details)


def _places(envs: Sequence[str], n_envs: int) -> str:
    if n_envs == 1:
        return f"on {envs[0]}"
    named = ", ".join(envs[:_ENVIRONMENTS_NAMED])
    more = f" and {len(envs) - _ENVIRONMENTS_NAMED} more" if len(envs) > _ENVIRONMENTS_NAMED else ""
    if len(envs) == n_envs:
        return f"on all {n_envs} environments" + (f" ({named}{more})" if n_envs <= _ENVIRONMENTS_NAMED else "")
    return f"on {len(envs)} of {n_envs} environments ({named}{more})"


def _by_algorithm(pairwise: pd.DataFrame) -> Iterator[Sentence]:
    """Yield a sentence for each of the algorithms that win most of their comparisons."""
    mirrored = pairwise.rename(columns={"first": "second", "second": "first"})
    mirrored["verdict"] = (
        mirrored["verdict"].replace({"better": "worse_", "worse": "better"}).replace("worse_", "worse")
    )
    both = pd.concat([pairwise, mirrored])[["first", "verdict"]]
    counts = pd.crosstab(both["first"], both["verdict"]).reindex(columns=list(RELATIONS), fill_value=0)
    ranked = counts.assign(lead=counts["better"] - counts["worse"]).sort_values("lead", ascending=False, kind="stable")
    for algo, row in ranked.head(MOST_SENTENCES).iterrows():
        total = int(row.drop("lead").sum())
        parts = [f"{outcome} in {row[outcome]:,}" for outcome in RELATIONS if row[outcome]]
        lead = int(row["lead"])
        outcome = "better" if lead > 0 else "worse" if lead < 0 else "inconclusive"
        yield Sentence(outcome, f"{algo}: {', '.join(parts)} of its {total:,} comparisons.")
    if len(ranked) > MOST_SENTENCES:
        yield Sentence(
            "", f"{len(ranked) - MOST_SENTENCES} more algorithms win less; the table of performance has them."
        )


def caveats(runs: pd.DataFrame, pairwise: pd.DataFrame, statistics: StatisticsConfig) -> list[Sentence]:
    """Return what limits the verdict: failed and missing runs, few seeds, absent margins, foreign logs, budgets.

    runs, pairwise: from `run_metrics` and `pairwise_table`.
    """
    return [Sentence("caveat", text) for text in _caveats(runs, pairwise, statistics)]


def _caveats(runs: pd.DataFrame, pairwise: pd.DataFrame, statistics: StatisticsConfig) -> Iterator[str]:
    counts = runs["status"].value_counts()
    failed, missing, foreign = (int(counts.get(status, 0)) for status in ("failed", "missing", "foreign"))
    if failed:
        algos = ", ".join(
            f"{algo} {n}" for algo, n in runs[runs["status"] == "failed"]["algo"].value_counts().items() if n
        )
        yield (
            f"{failed} of {len(runs)} runs failed ({algos}); they are judged, too, scored by the rule "
            f"“{statistics.failed_runs}” of the configuration, see Failed runs."
        )
    if missing:
        yield f"{missing} of {len(runs)} runs are missing: they were planned and have no result."
    scored = runs[runs["score"].notna()]
    per_group = scored.groupby(["env", "algo"], observed=True).size()
    fewest = int(per_group.min()) if len(per_group) else 0
    if fewest < FEW_SEEDS:
        yield (
            f"The smallest group has {fewest} seed{'s' if fewest != 1 else ''} with a score. With fewer than "
            f"{FEW_SEEDS}, almost nothing can be concluded: absent evidence is not evidence of equality."
        )
    envs = [str(env) for env in runs["env"].unique()]
    without = [env for env in envs if env not in statistics.references]
    if without and len(pairwise):
        named = ", ".join(without[:_ENVIRONMENTS_NAMED]) + (" and others" if len(without) > _ENVIRONMENTS_NAMED else "")
        yield f"No margin of equivalence is declared for {named}: equivalence cannot be concluded there."
    if foreign:
        yield (
            f"{foreign} runs are logs that another program wrote: whether a training was completed is inferred from "
            "its steps, and the seed and settings are those that its files and folders state."
        )
    sources = sorted({str(source) for source in scored["score_source"] if source})
    if len(sources) > 1:
        yield f"Scores come from different sources ({', '.join(sources).replace('_', ' ')}), which are not comparable."
    steps = runs[runs["status"].isin(["finished", "foreign"])].groupby("env", observed=True)["steps"]
    unequal = [
        f"{env} ({number(float(one.min()))} to {number(float(one.max()))})"
        for env, one in steps
        if one.min() < 0.8 * one.max()
    ]
    if unequal:
        yield f"Budgets of environment steps differ: {', '.join(unequal[:_ENVIRONMENTS_NAMED])}."
