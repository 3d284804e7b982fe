import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from harness.analysis.stats import first_passage, kaplan_meier, logrank_scores, logrank_test


def runs(n, seed, budget=150.0):
    rng = np.random.default_rng(seed)
    times = np.round(rng.exponential(100, n) + 1, 3)
    return np.minimum(times, budget), times < budget


def test_the_first_passage_is_the_first_step_at_or_above():
    assert first_passage([10, 20, 30], [math.nan, 475.0, 500.0], 475.0) == 20
    assert math.isnan(first_passage([10, 20], [1.0, 2.0], 475.0))
    assert math.isnan(first_passage([], [], 475.0))


@pytest.mark.parametrize("seed", range(8))
def test_the_curve_and_its_median_are_those_of_statsmodels(seed):
    times, reached = runs(13, seed)
    ours, theirs = kaplan_meier(times, reached, 0.9), SurvfuncRight(times, reached.astype(int))
    shares = [ours.share[ours.times == t][0] for t in theirs.surv_times]
    assert shares == pytest.approx(list(theirs.surv_prob))
    assert ours.median.estimate == theirs.quantile(0.5)
    low, high = theirs.quantile_ci(0.5, 0.1, method="cloglog")
    assert ours.median.low == low
    assert ours.median.high == high


def test_a_run_that_never_reaches_it_counts_to_its_end():
    one = kaplan_meier([10.0, 20.0, 30.0, 100.0, 100.0], [True, True, True, False, False])
    assert (one.n_reached, one.median.estimate) == (3, 30.0)
    none = kaplan_meier([100.0] * 4, [False] * 4)
    assert (none.n_reached, none.median.estimate, none.median.high) == (0, math.inf, math.inf)


def test_the_median_of_all_that_reach_it_at_once_is_that_time():
    assert kaplan_meier([50.0] * 3, [True] * 3).median.estimate == 50.0


def test_a_curve_of_no_runs_or_unknown_times_is_refused():
    for times, reached in (([], []), ([1.0, math.nan], [True, True]), ([1.0], [True, False])):
        with pytest.raises(ValueError, match="expected a time for each run"):
            kaplan_meier(times, reached)


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=2, max_size=12), st.data())
def test_the_scores_sum_to_observed_minus_expected(pairs, data):
    times, reached = np.array([t for t, _ in pairs], dtype=float), np.array([r for _, r in pairs])
    side = np.array(data.draw(st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs))))
    expected = 0.0
    for at in np.unique(times[reached]):  # the textbook's sum over times
        at_risk, events = times >= at, reached & (times == at)
        expected += events.sum() * (at_risk & side).sum() / at_risk.sum()
    scores = logrank_scores(times, reached)
    assert scores[side].sum() == pytest.approx((reached & side).sum() - expected)
    assert scores.sum() == pytest.approx(0.0, abs=1e-9)


def test_the_permutation_test_agrees_with_the_usual_logrank_of_many_runs():
    (x, rx), (y, ry) = runs(60, 1), runs(60, 2)
    y = y * 0.75
    test = logrank_test(x, rx, y, ry, np.random.default_rng(0))
    chi_square, p_value = survdiff(np.r_[x, y], np.r_[rx, ry].astype(int), np.r_[np.zeros(60), np.ones(60)])
    assert chi_square > 0
    assert test.p_value == pytest.approx(p_value, abs=0.02)
    assert test.difference < 0  # y is earlier


def test_few_runs_get_the_p_value_of_all_splits():
    x, y = [10.0, 20.0, 30.0, 40.0], [100.0] * 4
    test = logrank_test(x, [True] * 4, y, [False] * 4, np.random.default_rng(0))
    assert (test.exact, test.p_value) == (True, 2 / math.comb(8, 4))
    assert stats.logrank(stats.CensoredData(x), stats.CensoredData(right=y)).pvalue < test.p_value  # too optimistic
