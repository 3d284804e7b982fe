"""How the tests ask what a check says of a wrong function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.crosscheck import CheckFailed


def failure(check: Callable[..., Any], *arguments: Any, **settings: Any) -> CheckFailed:
    """What the check raises."""
    with pytest.raises(CheckFailed) as caught:
        check(*arguments, **settings)
    return caught.value


def size(failed: CheckFailed) -> int:
    """How many numbers the smallest input has in its arrays."""
    return sum(value.size for value in failed.inputs.values() if isinstance(value, np.ndarray))
