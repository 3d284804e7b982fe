import math

import numpy as np
import pytest

from harness.analysis.stats import fluctuation, share_lost, unexplained_fall

STEPS = 50_000


def training(rng, curve, *, length=200, noise=20.0):
    """Return the ends of the episodes of a training and their returns; curve: function from 0..1 to the mean return."""
    ends = np.arange(length, STEPS + 1, length)
    return ends, curve(ends / STEPS) + noise * rng.standard_normal(ends.size)


def flat(x):
    return np.full_like(x, 100.0)


def learning(x):
    return 20 + 430 / (1 + np.exp(-25 * (x - 0.3)))


def collapsing(x):
    return np.where((x > 0.6) & (x < 0.7), 250.0, 450.0)


def mean_over_runs(measure, curve, **settings):
    rng = np.random.default_rng(0)
    return np.array([measure(*training(rng, curve, **settings)) for _ in range(200)])


@pytest.mark.parametrize("curve", [flat, learning, lambda x: 400 * x], ids=["flat", "learning", "straight"])
@pytest.mark.parametrize("length", [100, 200, 1000])
def test_noise_and_learning_are_no_fluctuation(curve, length):
    squares = mean_over_runs(fluctuation, curve, length=length)
    squares = np.sign(squares) * squares**2
    # Unbiased: within four standard errors of zero, a hundredth of the noise's variance.
    assert abs(squares.mean()) < 4 * squares.std() / math.sqrt(squares.size)


def test_a_policy_that_moves_fluctuates_by_as_much():
    def moving(x):
        stretches = np.random.default_rng(5).normal(0.0, 40.0, 51)
        return 300 + stretches[np.ceil(50 * x).astype(int) - 1]

    found = mean_over_runs(fluctuation, moving, length=100)
    expected = np.random.default_rng(5).normal(0.0, 40.0, 51)[25:50]
    second = expected[:-2] - 2 * expected[1:-1] + expected[2:]
    assert found.mean() == pytest.approx(math.sqrt((second**2).mean() / 6), rel=0.05)


def test_noise_alone_rarely_makes_a_fall():
    for curve in (flat, learning):
        assert (mean_over_runs(unexplained_fall, curve) > 0).mean() < 0.05


def test_a_collapse_is_a_fall_of_its_depth():
    falls = mean_over_runs(unexplained_fall, collapsing)
    # Too deep by the luck of the best and of the worst stretch: ten episodes each, 20 / sqrt(10) = 6.3 per stretch.
    assert 200.0 < falls.mean() < 200.0 + 5 * 6.3
    assert mean_over_runs(share_lost, collapsing).mean() == pytest.approx(0.9, abs=0.1)


def test_without_noise_a_rise_is_no_fall():
    ends = np.arange(100, STEPS + 1, 100)
    assert unexplained_fall(ends, ends / 100) == 0.0
    assert share_lost(ends, np.ones_like(ends)) == 0.0
    assert fluctuation(ends, ends / 100) == pytest.approx(0.0, abs=1e-6)


def test_few_episodes_have_no_measure():
    ends = np.arange(39)
    assert math.isnan(unexplained_fall(ends, ends))
    assert math.isnan(share_lost([], []))
    assert math.isnan(fluctuation(np.arange(38), np.arange(38)))


def test_missing_returns_are_left_out():
    rng = np.random.default_rng(0)
    ends, returns = training(rng, collapsing)
    with_gap = np.insert(returns, 7, math.nan)
    assert unexplained_fall(np.insert(ends, 7, ends[7]), with_gap) == unexplained_fall(ends, returns)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"expected timesteps and returns of one run \[E\]"):
        fluctuation([1, 2, 3], [1.0, 2.0])


def test_noise_that_grows_with_the_return_is_no_fall_and_no_fluctuation():
    # Short episodes with little noise first, and long ones with much noise at the end, as where a pole falls late.
    rng = np.random.default_rng(0)
    lengths = np.concatenate([np.full(1250, 20), np.full(50, 500)])
    ends, means = np.cumsum(lengths), lengths * 10.0
    runs = [(ends, means * (1 + 0.5 * rng.standard_normal(ends.size))) for _ in range(200)]
    assert np.mean([unexplained_fall(*run) > 0 for run in runs]) < 0.05
    squares = np.array([math.copysign(fluctuation(*run) ** 2, fluctuation(*run)) for run in runs])
    assert abs(squares.mean()) < 4 * squares.std() / math.sqrt(squares.size)
