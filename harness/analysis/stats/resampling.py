"""Bootstrap of the interquartile mean, for scores [n, 1] and for curves [n, T] alike."""

from __future__ import annotations

import numpy as np

from harness.analysis.stats.samples import FloatArray

__all__ = ["bootstrap_counts", "bootstrap_iqm", "check_confidence", "percentile_limits", "weighted_iqm"]

_NUMBERS_AT_ONCE = 640_000  # bounds the [B, columns, n] temporaries: 32 columns of 10 seeds resampled 2000 times


def check_confidence(confidence: float) -> None:
    """Raise ValueError unless the confidence lies strictly between 0 and 1 (95 instead of 0.95 is the usual slip)."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence!r}")


def bootstrap_counts(n: int, rng: np.random.Generator, n_resamples: int) -> FloatArray:
    """Draw n seeds with replacement for each resample; return how often each was drawn, [B, n], rows summing to n."""
    return rng.multinomial(n, np.full(n, 1.0 / n), size=n_resamples).astype(np.float64)


def weighted_iqm(values: FloatArray, counts: FloatArray) -> FloatArray:
    """Return the interquartile mean of each column if row i is counted counts[b, i] times, [B, T].

    With the rows of a column sorted and C their cumulated counts, row i fills the ranks from C_{i-1} to C_i. The mean
    keeps the ranks from g to N - g, where N is the total count and g = floor(N / 4):

        IQM = sum_i v_i * |[C_{i-1}, C_i] ∩ [g, N - g]| / (N - 2 g)

    Counting instead of copying rows sorts each column once, not once per resample.

    values: [n, T], NaN where a run has no value at that time (it then counts as never drawn);
    counts: [B, n], whole numbers. NaN without any number to average.
    """
    order = np.argsort(values, axis=0)
    ordered = np.take_along_axis(values, order, axis=0).T  # [T, n], NaN last
    there = ~np.isnan(ordered)
    ranks = np.cumsum(counts[:, order.T] * there, axis=2)  # [B, T, n]
    total = ranks[:, :, -1:]
    cut = np.floor(total / 4)
    kept = np.clip(ranks, cut, total - cut) - cut
    shares = np.diff(kept, axis=2, prepend=0.0)
    with np.errstate(invalid="ignore"):  # 0 / 0: no drawn seed has a value at this time
        result: FloatArray = np.einsum("btn,tn->bt", shares, np.where(there, ordered, 0.0)) / kept[:, :, -1]
    return result


def bootstrap_iqm(values: FloatArray, rng: np.random.Generator, n_resamples: int) -> FloatArray:
    """Return the interquartile means of n_resamples resamples of whole rows, [B, T].

    One draw of seeds serves all columns, so that a resampled curve stays a curve: a draw for each time would make the
    points of the band independent, and the interval of any area under it several times too narrow.

    values: [n, T] with n >= 1.
    """
    counts = bootstrap_counts(len(values), rng, n_resamples)
    width = max(1, _NUMBERS_AT_ONCE // counts.size)
    blocks = range(0, values.shape[1], width)
    return np.hstack([weighted_iqm(values[:, start : start + width], counts) for start in blocks])


def percentile_limits(resampled: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Return the limits of the central `confidence` of each column, low [T] and high [T]; NaN is left out."""
    tail = (1.0 - confidence) / 2
    # nanquantile is a Python loop over columns, fifty times slower.
    quantile = np.nanquantile if np.isnan(resampled).any() else np.quantile
    low, high = quantile(resampled, [tail, 1.0 - tail], axis=0)
    return low, high
