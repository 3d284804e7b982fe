from __future__ import annotations

import json

import pytest

from harness.bench.execution.measuring import MEASUREMENTS
from harness.bench.execution.results import RESULTS, Growth, Overhead, ShellLoop, Workers
from tests.harness.bench.execution.timelines import made_results, timeline


def test_every_measurement_has_a_result() -> None:
    assert list(MEASUREMENTS) == list(RESULTS) == list(made_results())


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_read_from_its_json(name: str) -> None:
    result = made_results()[name]

    assert RESULTS[name].from_dict(json.loads(json.dumps(result.as_dict()))) == result


def test_the_overhead_is_a_median_without_the_first_run() -> None:
    result = Overhead(timeline((9.0, 9.75, 10.75, 12.75)))

    assert result.median == 0.5
    assert result.quartiles == (0.375, 1.0)
    assert result.inside == pytest.approx(0.1)


def test_workers_are_compared_pair_by_pair() -> None:
    one = (timeline((3.0, 5.0)), timeline((3.0, 7.0)), timeline((3.0, 9.0)))
    two = (timeline((2.0, 3.0), 2), timeline((2.0, 3.0), 2), timeline((2.0, 3.0), 2))

    assert Workers(one, two).ratios == (2.0, 3.0, 4.0)
    assert Workers(one, two).ratio == 3.0


def test_growth_is_seen_by_fifths() -> None:
    assert Growth(timeline((2.0, 3.0, 4.0, 6.0, 9.0), 2)).seconds == (1.0, 1.0, 1.0, 2.0, 3.0)


def test_a_loop_is_compared_with_whole_experiments() -> None:
    result = ShellLoop((10.0, 20.0), timeline((3.0, 4.0), 2, end=6.0), timeline((1.5, 2.0), 2, end=3.0))

    assert result.ratio(result.sb3) == 5.0
    assert result.ratio(result.custom) == 10.0
