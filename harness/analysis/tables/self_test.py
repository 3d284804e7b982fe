"""Self-test of a report: rate at which its decision rule names a winner where there is none."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis import stats
from harness.analysis.tables.estimand import score_failed_runs
from harness.analysis.tables.family import Family, case
from harness.analysis.tables.metrics import SEED_DEVIATION, ComparedIn, compared_in
from harness.analysis.tables.seed_estimates import BOOTSTRAP_SEED
from harness.config import StatisticsConfig

__all__ = ["HALVES", "LABELS", "self_test_sentences", "self_test_table"]

LABELS = "labels exchanged"
"""Null hypothesis in which the runs of an environment get the names of its algorithms at random."""

HALVES = "halves of the seeds"
"""Null hypothesis in which each algorithm is compared with itself, on random halves of its seeds."""

COLUMNS = (
    *("family", "null", "n_comparisons", "n_judged", "n_repetitions", "n_wrong"),
    *("rate", "rate_low", "rate_high", "level", "claims_rate", "can_reject"),
)

FEWEST_REPETITIONS, MOST_REPETITIONS = 50, 400
BUDGET, MOST_COST = 500.0, 1500.0
"""Milliseconds that the repetitions of one row may take, and that the fewest of them may."""

FloatArray = npt.NDArray[np.float64]
Samples = Iterator[tuple[FloatArray, FloatArray]]


def self_test_table(metrics: pd.DataFrame, statistics: StatisticsConfig) -> pd.DataFrame:
    """Return how often the whole decision rule claims a difference between runs that have the same origin.

    family: "scores" or "stability"; null: `LABELS` or `HALVES`. In each of n_repetitions the runs are dealt out anew,
    a family of comparisons of the same shape is judged (permutation tests, Holm's adjustment, the condition on the
    probability of improvement, sequential looks), and any *better* or *worse* is wrong.
    rate: share of repetitions with a wrong claim, with Wilson's limits, to be compared with `level`. claims_rate: share
    of comparisons. can_reject: False if the numbers of seeds allow no claim at all, so that a rate of 0 says nothing.
    n_judged: comparisons in a repetition, fewer than n_comparisons if those are too many, and then drawn at random.

    Labels are exchanged among all runs of an environment, not within each seed: there one side's high score would make
    the other side's low, if the algorithms differ, and a rule that is right would seem to err in a fifth of families.
    Bit-equal copies of an algorithm are left out. Failed runs count as they do in the report. The number of
    repetitions depends on the numbers of runs alone, so that equal results give equal tables.

    metrics: from `run_metrics`.
    """
    rows = []
    for family, kind, table in (
        ("scores", "pairwise", score_failed_runs(metrics, statistics)),
        ("stability", "stability", metrics),
    ):
        columns = [metric.name for metric in compared_in(_kind(kind))]
        groups = [_Runs.of(runs, columns) for _, runs in table.groupby("env", observed=True, sort=True)]
        for null, deal, pairs in (
            (LABELS, _exchanged, [pair for runs in groups for pair in runs.pairs(statistics.baseline)]),
            (HALVES, _halves, [pair for runs in groups for pair in runs.selves()]),
        ):
            if pairs:
                rows.append({"family": family, "null": null, **_row(pairs, columns, deal, statistics)})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def self_test_sentences(table: pd.DataFrame) -> list[str]:
    """Return a sentence for each row of `self_test_table` whose rate is above the level beyond its interval."""
    return [
        f"self-test: with {row['null']}, {row['rate']:.1%} of {row['n_repetitions']} families of {row['family']} have "
        f"a wrong claim ({row['rate_low']:.1%} to {row['rate_high']:.1%}), more than the level of {row['level']:.2g}"
        for row in table.to_dict("records")
        if row["rate_low"] > row["level"]
    ]


def _kind(name: str) -> ComparedIn:
    return "stability" if name == "stability" else "pairwise"


@dataclass(frozen=True, eq=False)
class _Runs:
    """Runs of one environment, those of each algorithm in the order of its seeds."""

    algos: tuple[str, ...]
    groups: tuple[FloatArray, ...]
    """Metrics of the runs of each algorithm, [n, M]; the score is the last column."""

    @classmethod
    def of(cls, runs: pd.DataFrame, columns: Sequence[str]) -> _Runs:
        """Return the runs of an environment without copies of an algorithm, which would count twice."""
        parts = [(str(algo), own.sort_values("seed")) for algo, own in runs.groupby("algo", observed=True, sort=True)]
        seen: set[tuple[str, ...]] = set()
        kept = []
        for algo, own in parts:
            digests = tuple(own["parameters_digest"])
            if all(digests) and digests in seen:
                continue
            seen.add(digests)
            kept.append((algo, own))
        values = tuple(own[[*columns, "score"]].to_numpy(float) for _, own in kept)
        return cls(tuple(algo for algo, _ in kept), values)

    def pairs(self, baseline: str | None) -> Iterator[tuple[_Runs, int, int]]:
        """Yield the pairs that a report compares."""
        for i, j in itertools.combinations(range(len(self.algos)), 2):
            if baseline is None or baseline in (self.algos[i], self.algos[j]):
                yield self, i, j

    def selves(self) -> Iterator[tuple[_Runs, int, int]]:
        """Yield each algorithm as a pair with itself."""
        for i in range(len(self.algos)):
            yield self, i, i


_Pair = tuple[_Runs, int, int]
_Deal = Callable[[Sequence[_Pair], np.random.Generator], Samples]


def _exchanged(pairs: Sequence[_Pair], rng: np.random.Generator) -> Samples:
    """Yield the samples of each pair, [n, M] and [m, M], after all runs of an environment changed their names."""
    dealt: dict[int, list[FloatArray]] = {}
    for runs, i, j in pairs:
        groups = dealt.setdefault(id(runs), [])
        if not groups:
            groups += _freely(runs.groups, rng)
        yield groups[i], groups[j]


def _freely(groups: Sequence[FloatArray], rng: np.random.Generator) -> list[FloatArray]:
    pool = rng.permutation(np.concatenate(groups))
    return np.split(pool, np.cumsum([len(group) for group in groups])[:-1])


def _halves(pairs: Sequence[_Pair], rng: np.random.Generator) -> Samples:
    """Yield two random halves of the runs of each algorithm, [n // 2, M] each."""
    for runs, i, _ in pairs:
        shuffled = rng.permutation(runs.groups[i])
        half = len(shuffled) // 2
        yield shuffled[:half], shuffled[half : 2 * half]


def _row(pairs: Sequence[_Pair], columns: Sequence[str], deal: _Deal, statistics: StatisticsConfig) -> dict[str, Any]:
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    n_resamples = max(1999, 40 * len(pairs) * len(columns))  # so that the smallest p-value survives Holm's adjustment
    cost = np.mean([_cost(len(x), len(y), n_resamples) for x, y in deal(pairs, rng)]) * len(columns)
    most = max(1, int(MOST_COST / (FEWEST_REPETITIONS * cost)))
    n_judged = min(len(pairs), most)
    n_repetitions = int(np.clip(BUDGET / (cost * n_judged), FEWEST_REPETITIONS, MOST_REPETITIONS))
    wrong = claims = 0
    can_reject = False
    for _ in range(n_repetitions):
        chosen = pairs if n_judged == len(pairs) else [pairs[i] for i in rng.choice(len(pairs), n_judged, False)]
        family = _family(deal(chosen, rng), columns, n_resamples, statistics)
        n_wrong = sum(outcome in ("better", "worse") for outcome in family.outcomes())
        wrong, claims = wrong + (n_wrong > 0), claims + n_wrong
        can_reject = can_reject or family.can_reject()
    rate = stats.share_interval(wrong, n_repetitions, statistics.confidence)
    return {
        "n_comparisons": len(pairs) * len(columns),
        "n_judged": n_judged * len(columns),
        "n_repetitions": n_repetitions,
        "n_wrong": wrong,
        "rate": rate.estimate,
        "rate_low": rate.low,
        "rate_high": rate.high,
        "level": round(1.0 - statistics.confidence, 12),
        "claims_rate": claims / (n_repetitions * n_judged * len(columns)),
        "can_reject": can_reject,
    }


def _family(samples: Samples, columns: Sequence[str], n_resamples: int, statistics: StatisticsConfig) -> Family:
    design = stats.SequentialDesign(statistics.looks, statistics.spending) if statistics.looks else None
    cases = [
        case(
            _of(x, place, name), _of(y, place, name),
            margin=None, bounds=None, identical=False, design=design, n_resamples=n_resamples,
        )
        for x, y in samples
        for place, name in enumerate(columns)
    ]  # fmt: skip
    return Family(tuple(cases), 1.0 - statistics.confidence, design)


def _of(sample: FloatArray, place: int, name: str) -> FloatArray:
    """Return a metric of a sample; the distance from the median score is that of its new group."""
    if name != SEED_DEVIATION:
        return sample[:, place]
    scores = sample[:, -1]
    there = scores[~np.isnan(scores)]
    deviations: FloatArray = np.abs(scores - (np.median(there) if there.size else math.nan))
    return deviations


def _cost(n: int, m: int, n_resamples: int) -> float:
    """Return the milliseconds that a comparison takes, as measured on one core."""
    if math.comb(n + m, n) > 200_000:
        return 0.15 + 1.1e-5 * n_resamples * (n + m)
    return 0.3 if n == m else 0.15 + 4.5e-5 * math.comb(n + m, n)
