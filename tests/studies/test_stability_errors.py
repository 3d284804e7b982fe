import numpy as np
import pytest

from tests.studies.stability_errors import PAIRS, named_steadier, named_wider

pytestmark = pytest.mark.slow

JUDGED = ("fluctuation", "deepest fall", "share lost")


@pytest.mark.parametrize("name", [name for name in PAIRS if not name.startswith("power")])
def test_equally_steady_trainings_are_seldom_told_apart(name: str) -> None:
    found = named_steadier(PAIRS[name], 300, np.random.default_rng(0))
    assert max(found[measure] for measure in JUDGED) <= 0.09  # Binomial(300, 0.05) exceeds 27 in 0.1% of cases


def test_a_collapse_and_a_moving_policy_are_seen() -> None:
    rng = np.random.default_rng(0)
    assert named_steadier(PAIRS["power: one falls by 150, once"], 50, rng)["deepest fall"] > 0.9
    assert named_steadier(PAIRS["power: one moves by as much as the noise"], 50, rng)["fluctuation"] > 0.9


def test_the_test_of_spread_has_its_level_and_power() -> None:
    rng = np.random.default_rng(0)
    assert named_wider(1.0, 10, 1000, rng) <= 0.09
    assert named_wider(4.0, 10, 300, rng) > 0.7
