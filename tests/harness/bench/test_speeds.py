from __future__ import annotations

import math

import pytest

from harness.bench.speeds import PARTS, Speed, geometric_mean
from tests.harness.bench.speeds import measured


def test_the_ratio_is_the_median_of_the_pairs_and_not_the_ratio_of_medians() -> None:
    # Only the two trainings of a pair ran under equal conditions.
    speed = measured(ours=(100.0, 100.0, 300.0), theirs=(100.0, 300.0, 600.0))

    assert speed.ratios == (1.0, 3.0, 2.0)
    assert speed.ratio == 2.0
    assert speed.ratio_of_medians == 3.0
    assert speed.quartiles == (1.5, 2.5)


def test_times_that_do_not_form_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        _ = measured(ours=(1.0,), theirs=(1.0, 2.0)).ratios


def test_a_configuration_without_pairs_has_no_ratio() -> None:
    speed = measured(ours=(), theirs=())

    assert math.isnan(speed.ratio)
    assert math.isnan(speed.ratio_of_medians)
    assert math.isnan(speed.greatest_ratio)


def test_the_greatest_ratio_divides_sb3_by_bare_environments_and_products() -> None:
    speed = measured(ours=(1.0, 1.0), theirs=(2.0, 3.0))

    assert speed.greatest_ratio == pytest.approx(2.0 / (0.2 + 0.1 + 0.1))


def test_plain_data_gives_the_same_result_again() -> None:
    speed = measured()

    assert Speed.from_dict(speed.as_dict()) == speed
    assert speed.as_dict()["ratio"] == 2.0


def test_the_geometric_mean_is_that_of_the_medians() -> None:
    mean = geometric_mean([measured("a", 2.0), measured("b", 8.0)])

    assert mean is not None
    assert mean.value == pytest.approx(4.0)
    assert (mean.low, mean.high) == pytest.approx((4.0, 4.0))
    assert mean.n_configurations == 2


def test_the_interval_holds_the_spread_of_the_pairs() -> None:
    mean = geometric_mean([measured(ours=(1.0,) * 7, theirs=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0))])

    assert mean is not None
    assert mean.value == pytest.approx(4.0)
    assert 1.0 <= mean.low < 4.0 < mean.high <= 7.0


def test_configurations_with_wrong_bits_or_no_pairs_do_not_count() -> None:
    speeds = [measured("a", 2.0), measured("b", 100.0, unequal="weight"), measured("c", ours=(), theirs=())]

    mean = geometric_mean(speeds)

    assert mean is not None
    assert mean.n_configurations == 1
    assert geometric_mean(speeds[1:]) is None


def test_every_part_is_described() -> None:
    assert list(PARTS) == ["environment", "policy", "rollout", "gae", "update", "other"]
    assert all(PARTS.values())
