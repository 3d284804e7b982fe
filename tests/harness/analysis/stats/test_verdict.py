import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.stats import Progress, SequentialDesign, permutation_test, tost_welch, verdict

LOW = [10.0, 11.0, 12.0, 13.0, 14.0]
HIGH = [20.0, 21.0, 22.0, 23.0, 24.0]
SEEDS = st.lists(st.integers(-20, 20), min_size=2, max_size=6)


def judge(x, y, margin=None, **settings):
    p_value = permutation_test(x, y, np.random.default_rng(0)).p_value
    return verdict(x, y, margin=margin, **{"p_value": p_value, **settings})


def test_a_clear_win_is_better_and_says_why():
    result = judge(HIGH, LOW, margin=5.0)
    assert result.outcome == "better"
    assert result.reason == (
        "permutation test p = 0.00794, below 0.05; probability of improvement 1.00 (0.64 to 1.00) excludes 0.5"
    )
    assert result.seeds_for_difference.text == "unknown"


def test_a_clear_loss_is_worse():
    assert judge(LOW, HIGH).outcome == "worse"


def test_bit_equal_parameters_outrank_every_number():
    result = judge(HIGH, LOW, identical=True)
    assert result.outcome == "identical"
    assert result.reason == "the trained parameters are bit-equal for every seed"


def test_a_win_smaller_than_the_margin_is_still_a_win_and_says_so():
    result = judge(HIGH, LOW, margin=50.0)
    assert result.outcome == "better"
    assert result.reasons[-1] == "the difference of 10 is smaller than the margin of ±50"


def test_little_difference_and_little_spread_is_equivalent():
    result = judge(LOW, [value + 0.5 for value in LOW], margin=10.0)
    assert result.outcome == "equivalent"
    assert result.reason == f"equivalence within ±10 has p = {result.equivalence.p_value:.3g}, below 0.05"
    assert result.equivalence == tost_welch(LOW, [value + 0.5 for value in LOW], 10.0)


def test_without_a_margin_nothing_is_called_equivalent():
    result = judge(LOW, LOW)
    assert (result.outcome, result.equivalence) == ("inconclusive", None)
    low, high = result.seeds_for_difference
    assert (low > 10, high) == (True, math.inf)
    assert (
        result.reasons[-1] == f"naming a winner takes at least {low:.0f} seeds per algorithm, as far as these can tell"
    )


def test_an_inconclusive_verdict_states_a_range_of_seeds_around_the_planned_number():
    # Difference 1 at a standard deviation of 1.58, d = 0.63: Cohen's table has 45 for 0.6 and 33 for 0.7.
    result = judge([value + 1 for value in LOW], LOW, margin=2.5)
    assert result.outcome == "inconclusive"
    low, high = result.seeds_for_difference
    assert low < 41 < high
    assert result.reasons[-2:] == (
        f"naming a winner takes {result.seeds_for_difference.text} seeds per algorithm, as far as these can tell",
        "about 15 would show equivalence if it is that small",
    )
    assert result.seeds_for_equivalence == 15
    assert 1.58 < result.detectable < 4 * 1.58  # Cohen 1988: five seeds show about two standard deviations


def test_three_seeds_are_reported_as_too_few_for_any_result():
    result = judge(HIGH[:3], LOW[:3])
    assert result.outcome == "inconclusive"
    assert result.reasons == (
        "permutation test p = 0.1, not below 0.05 (with so few seeds it cannot fall below 0.1)",
        f"naming a winner takes {result.seeds_for_difference.text} seeds per algorithm, as far as these can tell",
    )
    assert result.seeds_for_difference.low == 4
    assert result.detectable == math.inf


def test_more_comparisons_take_more_seeds():
    x = [value + 1 for value in LOW]
    assert judge(x, LOW, n_comparisons=10).seeds_for_difference.low > judge(x, LOW).seeds_for_difference.low


def test_a_correction_that_hides_a_difference_is_not_blamed_on_the_seeds():
    result = judge(HIGH, LOW, p_value=0.2)
    assert result.outcome == "inconclusive"
    assert result.seeds_for_difference.low == 4


def test_a_mean_moved_by_one_seed_alone_names_no_winner():
    # x wins 11 of the 25 pairs.
    result = judge([3.0, 4.0, 5.0, 6.0, 10_000.0], [3.5, 4.5, 5.5, 6.5, 7.5], p_value=0.01)
    assert result.outcome == "inconclusive"
    limits = f"{result.improvement.low:.2f} to {result.improvement.high:.2f}"
    assert result.reasons[1] == (
        f"probability of improvement 0.44 ({limits}) includes 0.5, while the means point the other way"
    )


def test_winning_often_but_losing_on_average_names_no_winner():
    x, y = [10.0] * 9 + [-10_000.0], [float(value) for value in range(-5, 5)]
    result = judge(x, y, p_value=0.01)
    assert result.improvement.low > 0.5
    assert result.outcome == "inconclusive"
    assert result.reasons[1].endswith(") excludes 0.5, while the means point the other way")


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ([1.0], [2.0, 3.0], "1 against 2 seeds: at least 2 on each side are needed"),
        ([1.0, 2.0], [math.nan, 3.0], "2 against 1 seeds: at least 2 on each side are needed"),
        ([], [math.nan], "0 against 0 seeds: at least 2 on each side are needed"),
    ],
)
def test_one_seed_proves_nothing(x, y, reason):
    result = verdict(x, y, p_value=math.nan, margin=1.0)
    assert (result.outcome, result.reason) == ("inconclusive", reason)


def test_without_a_test_there_is_no_verdict():
    result = verdict(HIGH, LOW, p_value=math.nan, margin=1.0)
    assert (result.outcome, result.reason) == ("inconclusive", "no test was made")


@given(SEEDS, SEEDS)
def test_better_seen_from_the_other_side_is_worse(x, y):
    mirrored = {"better": "worse", "worse": "better"}
    forth, back = judge(x, y, margin=5.0), judge(y, x, margin=5.0)
    assert back.outcome == mirrored.get(forth.outcome, forth.outcome)


def test_equal_algorithms_are_seldom_called_better_or_worse():
    rng = np.random.default_rng(6)
    outcomes = [judge(*rng.normal(size=(2, 6))).outcome for _ in range(400)]
    # Both conditions must hold, so at most the test's 5%: Binomial(400, 0.05) stays below 35 in 99.9% of cases.
    assert sum(outcome != "inconclusive" for outcome in outcomes) < 35


def test_a_win_that_a_rare_collapse_would_undo_is_told_with_its_risk():
    x, y = [500.0] * 10, [470.0 + 0.1 * seed for seed in range(10)]
    result = judge(x, y, bounds=(22.0, 500.0))
    assert result.outcome == "better"
    # 29.55 of 478 are 6%, and 0.938^10 = 0.53
    assert result.reasons[-1] == (
        "a collapse in 6% of the winner's runs would undo it, and 10 seeds miss one in 53% of cases"
    )
    assert judge(y, x, bounds=(22.0, 500.0)).reasons[-1] == result.reasons[-1]


def test_a_large_lead_has_no_such_risk():
    result = judge([500.0] * 10, [200.0 + seed for seed in range(10)], bounds=(22.0, 500.0))
    assert "collapse" not in result.reason


def test_bounds_keep_five_equal_scores_from_being_equivalent():
    assert judge([500.0] * 5, [500.0] * 5, margin=47.8).outcome == "equivalent"
    result = judge([500.0] * 5, [500.0] * 5, margin=47.8, bounds=(22.0, 500.0))
    assert result.outcome == "inconclusive"
    assert "5 seeds cannot exclude a rare collapse, of up to 45% of all runs" in result.reasons
    assert result.seeds_for_equivalence == pytest.approx(29, abs=1)


def test_an_adjusted_p_value_of_equivalence_decides():
    y = [value + 0.5 for value in LOW]
    assert judge(LOW, y, margin=10.0, p_equivalence=0.2).outcome == "inconclusive"


def test_the_level_is_that_of_the_intervals_as_well():
    result = judge(HIGH, LOW, alpha=0.2)
    assert (result.difference.confidence, result.improvement.confidence) == (0.8, 0.8)


def test_seeds_that_cannot_reach_the_level_after_the_adjustment_are_told_so():
    result = judge(HIGH, LOW, p_value=0.08, smallest=0.0794, n_comparisons=10)
    assert (
        result.reasons[0] == "permutation test p = 0.08, not below 0.05 (with so few seeds it cannot fall below 0.079)"
    )
    assert result.detectable == math.inf


def test_before_the_first_look_nothing_is_judged():
    progress = Progress(SequentialDesign((6, 12)), 5)
    result = judge(HIGH, LOW, p_value=0.001, sequential=progress)
    assert (result.outcome, result.reason) == (
        "inconclusive",
        "the first look is at 6 seeds, and there are 5: nothing is judged yet",
    )


def test_a_verdict_between_looks_says_which_looks_it_rests_on():
    progress = Progress(SequentialDesign((4, 12)), 5)
    won = judge(HIGH, LOW, p_value=0.01, sequential=progress)
    assert won.reasons[0] == "permutation test p = 0.01 over the look at 4 of 12 seeds, below 0.05"
    undecided = judge(HIGH, LOW, p_value=0.1, sequential=progress)
    assert undecided.reasons[-2:] == (
        "seeds beyond the look at 4 are judged at the next",
        "the next look is at 12 seeds",
    )
