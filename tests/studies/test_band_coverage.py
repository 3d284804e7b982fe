import pytest

from tests.studies.band_coverage import KINDS, coverage

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_seeds", [10, 30])
def test_simultaneous_bands_contain_nearly_all_whole_curves(kind: str, n_seeds: int) -> None:
    simultaneous, pointwise = coverage(KINDS[kind], n_seeds, 400)
    assert simultaneous >= 0.86  # at a true .90, 400 experiments fall below .86 in 0.5% of cases
    assert pointwise < simultaneous
