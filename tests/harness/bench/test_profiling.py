from __future__ import annotations

from harness.bench.profiling import profile_text
from tests.harness.bench.small import SMALL


def test_a_profile_lists_functions_by_their_own_time() -> None:
    text = profile_text(SMALL, "auto")

    assert "Ordered by: internal time" in text
    assert "cartpole.py" in text
