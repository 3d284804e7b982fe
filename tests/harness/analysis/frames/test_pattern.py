from __future__ import annotations

import pytest

from harness.analysis.frames.pattern import path_pattern
from harness.errors import HarnessError


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        (
            "{algo}_{env}_seed{seed}",
            "logs/custom_ppo_Drone_seed12",
            {"algo": "custom_ppo", "env": "Drone", "seed": "12"},
        ),
        ("{env}/{algo}/{seed}", "a/b/Drone/ppo/3", {"env": "Drone", "algo": "ppo", "seed": "3"}),
        ("{algo}/*_{seed}", "ppo/anything_at_all_4", {"algo": "ppo", "seed": "4"}),
        ("{env}_{algo}_{seed}", "Drone_custom_ppo_0", {"env": "Drone", "algo": "custom_ppo", "seed": "0"}),
        ("{algo}", "x/ppo.clip", {"algo": "ppo.clip"}),
    ],
)
def test_a_pattern_names_the_end_of_a_path(pattern: str, path: str, fields: dict[str, str]) -> None:
    assert path_pattern(pattern).match(path.split("/")) == fields


@pytest.mark.parametrize(
    ("pattern", "path"), [("{algo}_{seed}", "ppo_x"), ("{env}/{algo}", "ppo"), ("{algo}.x", "ppoyx")]
)
def test_another_path_does_not_match(pattern: str, path: str) -> None:
    assert path_pattern(pattern).match(path.split("/")) is None


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("{algorithm}_{seed}", "{algorithm} is unknown, expected {algo}"),
        ("{env}_{seed}", "'{env}_{seed}' does not name each field once, expected {algo}"),
        ("{algo}_{algo}", "'{algo}_{algo}' does not name each field once"),
        ("", "'' does not name each field once"),
    ],
)
def test_a_mistake_in_a_pattern_is_one_line_with_an_example(pattern: str, reason: str) -> None:
    with pytest.raises(HarnessError) as error:
        path_pattern(pattern)

    assert str(error.value).startswith(f"--pattern: {reason}")
    assert str(error.value).endswith('such as "{algo}_{env}_seed{seed}"')
