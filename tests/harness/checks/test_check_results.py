from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from custom_ppo.gae import gae
from harness import crosscheck
from harness.checks.check_results import described
from harness.crosscheck import CheckFailed, CheckReport, check_gae
from tests.harness.checks.failures import failure


def no_last_value(*arrays: Any, **settings: Any) -> Any:
    return gae(*arrays[:3], 0 * arrays[3], arrays[4], **settings)


def test_a_failure_is_an_assertion_error_whose_text_says_all() -> None:
    failed = failure(check_gae, no_last_value)

    assert isinstance(failed, AssertionError)
    assert str(failed) == (
        'check_gae: 20 of 26 cases wrong, the first is "one step, one environment"\n'
        "  smallest input that shows it:\n"
        "    rewards        = [[0]]  # [1, 1]\n"
        "    values         = [[0]]  # [1, 1]\n"
        "    episode_starts = [[0]]  # [1, 1]\n"
        "    last_values    = [1]  # [1]\n"
        "    dones          = [False]  # [1]\n"
        "    gamma          = 1\n"
        "    gae_lambda     = 1\n"
        "  advantages[0, 0] is 0, expected 1\n"
        "  probable cause: the last value is taken as zero, as if the rollout ended every episode\n"
        "    (it gives the same results in all 26 cases)\n"
        '  wrong in: "one step, one environment", "no episode ends", "an episode ends in the middle", '
        '"the first step\n'
        '    starts an episode", "gamma 1, lambda 0.8", "gamma 0.9, lambda 0", and 14 more\n'
        '  right in: "an episode ends with the last step", "every step ends an episode", "one step, which ends an\n'
        '    episode", "gamma 0, lambda 0.8", "gamma 0, lambda 0", "all rewards and values zero"'
    )
    assert repr(failed) == f"CheckFailed({str(failed).splitlines()[0]!r})"


def test_a_failure_survives_pickling() -> None:
    failed = failure(check_gae, no_last_value)
    again = pickle.loads(pickle.dumps(failed))
    assert isinstance(again, CheckFailed)
    assert str(again) == str(failed)


def test_a_report_says_how_far_rounding_went() -> None:
    report = CheckReport("check_it", 7, ("a", "b"), 1e-7, 1.234, "gamma 0")
    assert str(report).startswith(
        "check_it: 7 cases, a and b equal within rounding: at most 1.2 float32 units of the size of the summands, "
        'in "gamma 0" (stable-baselines3 '
    )
    assert not report.bit_equal


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.1), "0.1"),
        (np.array([[0.5, -0.0], [np.nan, -np.inf]]), "[[0.5, 0], [nan, -inf]]"),
        (np.array([True]), "[True]"),
        (np.array(1 / 3, np.float32), "0.333333343"),
        (np.arange(30.0), "[" + ", ".join(map(str, range(24))) + ", ...]  (30 elements)"),
        (None, "None"),
        ([3, 2], "[3, 2]"),
    ],
)
def test_numbers_are_written_as_python_has_them(value: Any, text: str) -> None:
    assert described(value if isinstance(value, np.ndarray | list) or value is None else float(value)) == text


def test_the_public_names_are_found_in_the_package_and_loaded_late() -> None:
    for name in crosscheck.__all__:
        assert getattr(crosscheck, name).__name__ == name
    assert set(crosscheck.__all__) <= set(dir(crosscheck))
    with pytest.raises(AttributeError, match=r"module 'harness.crosscheck' has no attribute 'check_gea'"):
        crosscheck.check_gea  # noqa: B018

    code = "import harness.crosscheck, sys; print(*({'torch', 'stable_baselines3', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
