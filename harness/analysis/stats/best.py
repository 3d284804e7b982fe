"""Candidates for the best of many combinations: those that the scores do not show to be worse than another one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.analysis.stats.permutation import smallest_p
from harness.analysis.stats.resampling import check_confidence
from harness.analysis.stats.samples import FloatArray

__all__ = ["best_candidates"]


def best_candidates(samples: npt.ArrayLike, confidence: float = 0.95) -> npt.NDArray[np.bool_]:
    """Return which columns may be the one with the highest mean; the best one is among them with this confidence.

        column i is out if some j has (mean_j - mean_i) / sqrt(s_i^2/n_i + s_j^2/n_j) > t_{1 - alpha/(k-1), nu_ij}

    nu: Welch's degrees of freedom; k: number of columns with a score. Bonferroni's bound over the k - 1 comparisons of
    a column makes it simultaneous. Two columns without any spread are told apart only if they have enough seeds for a
    permutation test at this level. Bootstrap critical values, as of the model confidence set, lose the best in
    up to 45% of sweeps with skewed scores at few seeds, and are not used.

    samples: one number for each seed and column, [S, k], NaN for a run without one. A column with fewer than two
    numbers has no spread: it is a candidate unless it has none at all.
    Gupta 1965, Technometrics 7, 225-245; Hsu 1996, Multiple Comparisons, ch. 4. Measured coverage: docs/statistics.md.
    """
    check_confidence(confidence)
    values = np.asarray(samples, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"expected scores of seeds in columns [S, k], got an array of shape {values.shape}")
    there = ~np.isnan(values)
    counts = there.sum(axis=0)
    k = int((counts > 0).sum())
    candidates: npt.NDArray[np.bool_] = counts > 0
    tested = np.flatnonzero(counts > 1)
    if k < 2 or tested.size < 2:
        return candidates
    means = np.array([values[there[:, j], j].mean() for j in tested])
    errors = np.array([_variance(values[there[:, j], j]) for j in tested]) / counts[tested]
    freedom = counts[tested] - 1.0
    lead = means[None, :] - means[:, None]  # [i, j]: by how much j is above i
    total = errors[None, :] + errors[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        nu = total**2 / (errors[None, :] ** 2 / freedom[None, :] + errors[:, None] ** 2 / freedom[:, None])
        t = np.where(lead > 0.0, lead / np.sqrt(total), 0.0)
    # Two seeds of 500 against two of 499 show nothing, though neither side varies.
    enough = np.array([[smallest_p(int(n), int(m)) for m in counts[tested]] for n in counts[tested]])
    t[(total == 0.0) & (enough >= (1.0 - confidence) / (k - 1))] = 0.0
    nu = np.where(np.isfinite(nu), nu, np.minimum(freedom[None, :], freedom[:, None]))
    critical = special.stdtrit(nu, 1.0 - (1.0 - confidence) / (k - 1))
    candidates[tested] = ~(t > critical).any(axis=1)
    return candidates


def _variance(values: FloatArray) -> float:
    return 0.0 if np.ptp(values) == 0.0 else float(values.var(ddof=1))
