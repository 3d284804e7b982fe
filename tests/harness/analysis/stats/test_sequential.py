import math

import numpy as np
import pytest
from scipy import special

from harness.analysis.stats import Progress, SequentialDesign


@pytest.mark.parametrize(
    ("spending", "boundaries"),
    [("obrien_fleming", [4.3326, 2.9631, 2.3590, 2.0141]), ("pocock", [2.3683, 2.3675, 2.3580, 2.3501])],
)
def test_four_equal_looks_have_the_boundaries_of_published_tables(spending, boundaries):
    # Lan and DeMets' spending functions at a two-sided 5%, as gsDesign's sfLDOF and sfLDPocock give them.
    levels = SequentialDesign((5, 10, 15, 20), spending).levels(0.05)
    assert -special.ndtri(np.array(levels) / 2) == pytest.approx(boundaries, abs=2e-4)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("looks", [(5, 10, 20), (3, 4, 30), (10, 11, 12, 13, 14, 15)])
def test_all_looks_together_err_at_the_level(looks, spending):
    design = SequentialDesign(looks, spending)
    sums = np.random.default_rng(0).standard_normal((100_000, looks[-1])).cumsum(axis=1)
    statistics = sums[:, np.array(looks) - 1] / np.sqrt(looks)
    p_values = 2 * special.ndtr(-np.abs(statistics))
    assert (p_values < design.levels(0.05)).any(axis=1).mean() == pytest.approx(0.05, abs=0.003)  # 4 standard errors


@pytest.mark.parametrize("level", [0.2, 0.05, 0.003])
def test_the_overall_level_of_a_p_value_at_its_boundary_is_that_level(level):
    design = SequentialDesign((5, 10, 20))
    for look, boundary in zip(design.looks, design.levels(level), strict=True):
        assert design.overall_level(boundary, look) == pytest.approx(level, rel=1e-3)


def test_a_larger_p_value_has_a_larger_overall_level_at_every_look():
    design = SequentialDesign((5, 10, 20), "pocock")
    p_values = np.geomspace(1e-12, 1.0, 40)
    for look in design.looks:
        overall = [design.overall_level(p_value, look) for p_value in p_values]
        assert (np.diff(overall) >= 0.0).all()
        assert all(at_all >= 0.999 * here for at_all, here in zip(overall, p_values, strict=True) if 1e-8 < here < 0.9)
    assert math.isnan(design.overall_level(math.nan, 5))


@pytest.mark.parametrize("looks", [(), (10,), (1, 5), (5, 5), (10, 5)])
def test_looks_must_be_two_ascending_numbers_of_seeds(looks):
    with pytest.raises(ValueError, match="expected ascending numbers of at least 2 seeds"):
        SequentialDesign(looks)


def test_progress_tells_what_was_judged_and_what_comes():
    design = SequentialDesign((4, 8, 12))
    assert not Progress(design, 3).started
    assert Progress(design, 8).basis == "over the looks at 4 and 8 of 12 seeds"
    assert Progress(design, 8).remarks == ("the next look is at 12 seeds",)
    assert Progress(design, 14).remarks == ("seeds beyond the last look, at 12, are not judged",)
