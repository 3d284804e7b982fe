"""Helpers of the tests of checks: the failure of a wrong function, and its size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.crosscheck import CheckFailed


def failure(check: Callable[..., Any], *arguments: Any, **settings: Any) -> CheckFailed:
    """Return the CheckFailed that the check raises."""
    with pytest.raises(CheckFailed) as caught:
        check(*arguments, **settings)
    return caught.value


def size(failed: CheckFailed) -> int:
    """Return the number of elements in the arrays of the smallest input."""
    return sum(value.size for value in failed.inputs.values() if isinstance(value, np.ndarray))
