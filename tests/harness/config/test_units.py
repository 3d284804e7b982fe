from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.config import ExecutionConfig, check_config, parse_config, resolved_text
from harness.config.units import parse_duration, parse_size

TEXT = """\
name: units
algorithms: [ppo]
environments: {CartPole-v1: {n_timesteps: 128}}
seeds: 1
hyperparameters: {ppo: {default: {policy: MlpPolicy}}}
"""


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(90, 90), (0.5, 0.5), ("90", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1d", 86_400), ("45s", 45)],
)
def test_durations_are_read_as_people_write_them(value: Any, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    ("value", "size"), [(1000, 1000), ("4G", 2**32), ("800M", 800 * 2**20), ("1.5G", 3 * 2**29), ("2GiB", 2**31)]
)
def test_sizes_are_read_as_people_write_them(value: Any, size: int) -> None:
    assert parse_size(value) == size


@pytest.mark.parametrize(
    "value", [0, -1, True, None, "", "soon", "1m1h", "nan", "inf", float("nan"), "9" * 1000, 10**400, [1], "4 apples"]
)
def test_anything_else_is_refused(value: Any) -> None:
    for parse in (parse_duration, parse_size):
        with pytest.raises(ValueError, match=r"^expected "):
            parse(value)


def test_the_section_execution_sets_limits_and_is_written_out() -> None:
    text = (
        f"{TEXT}execution: {{retries: 2, time_limit: 2h, stall_limit: 90, memory_limit: 4G, checkpoint_interval: 5m}}\n"
    )

    config = parse_config(text, Path("units.yml"))

    assert config.execution == ExecutionConfig(2, 7200.0, 90.0, 2**32, 300.0)
    assert parse_config(resolved_text(config), Path("again.yml")).execution == config.execution


def test_without_the_section_the_limits_are_generous_and_not_written_out() -> None:
    config = parse_config(TEXT, Path("units.yml"))

    assert config.execution == ExecutionConfig()
    assert "execution" not in resolved_text(config)


def test_mistakes_in_the_section_have_lines(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(f"{TEXT}execution:\n  retries: -1\n  time_limit: soon\n  memory: 4G\n")

    problems = [str(problem) for problem in check_config(tmp_path / "a.yml")]

    assert [problem.removeprefix(f"{tmp_path}/") for problem in problems] == [
        "a.yml:7:3: execution.retries: expected an integer in [0, 100], got -1",
        'a.yml:8:3: execution.time_limit: expected seconds or text such as 1h30m or null, got the text "soon"',
        "a.yml:9:3: execution.memory: unknown key, did you mean memory_limit?",
    ]
