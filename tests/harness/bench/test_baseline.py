from __future__ import annotations

from harness.bench.baseline import fallen
from tests.harness.bench.speeds import measured


def test_a_ratio_that_fell_by_a_quarter_is_tolerated() -> None:
    assert fallen([measured(ratio=3.0)], [measured(ratio=4.0)]) == []


def test_a_ratio_that_fell_by_more_than_a_quarter_is_one_line() -> None:
    assert fallen([measured(ratio=2.0)], [measured(ratio=4.0, engine="native")]) == [
        "cartpole-zoo: 2.00 times as fast as SB3 (engine fused), was 4.00 (engine native): fell by 50%"
    ]


def test_absolute_times_do_not_matter() -> None:
    slow_machine = measured(ours=(10.0,), theirs=(40.0,))

    assert fallen([slow_machine], [measured(ratio=4.0)]) == []


def test_a_configuration_that_cannot_be_measured_any_more_counts_as_fallen() -> None:
    lines = fallen([measured(ours=(), theirs=(), problem="engine fused is not possible")], [measured(ratio=4.0)])

    assert lines == [
        "cartpole-zoo: was 4.00 times as fast as SB3, and is not measured now: engine fused is not possible"
    ]


def test_configurations_that_only_one_measurement_has_are_ignored() -> None:
    assert fallen([measured("new", 1.0)], [measured("old", 4.0)]) == []
