from __future__ import annotations

import numpy as np
import pytest

from tests.studies.paired_errors import rates

pytestmark = pytest.mark.slow


def test_neither_test_errs_more_often_than_the_level_allows() -> None:
    rng = np.random.default_rng(1)

    for correlation in (0.0, 0.6):
        assert max(rates(8, correlation, 0.0, 400, rng)) <= 0.08


def test_pairing_helps_only_where_seeds_have_much_in_common() -> None:
    rng = np.random.default_rng(1)

    unpaired, paired = rates(10, 0.9, 0.7, 200, rng)
    assert paired > unpaired + 0.1
    unpaired, paired = rates(5, 0.6, 2.0, 100, rng)
    assert paired == 0.0 < unpaired
