from __future__ import annotations

import pytest

from harness.analysis.frames.names import guess_names
from harness.analysis.frames.pattern import path_pattern

# Path, id in the header of its Monitor file, algorithm, environment, seed.
PATHS = [
    ("ppo_CartPole_seed0", "CartPole-v1", "ppo", "CartPole-v1", 0),
    ("ppo_CartPole_seed0", None, "ppo", "CartPole", 0),
    ("CartPole-v1/ppo/3", None, "ppo", "CartPole-v1", 3),
    ("CartPole-v1/ppo/seed_3", "CartPole-v1", "ppo", "CartPole-v1", 3),
    ("ppo/HalfCheetah/run_3", None, "ppo", "HalfCheetah", 3),
    ("Warehouse/ppo/1", None, "ppo", "Warehouse", 1),
    ("ppo/CartPole-v1_3", None, "ppo", "CartPole-v1", 3),
    ("ppo/ALE-Pong-v5_1", "ALE/Pong-v5", "ppo", "ALE/Pong-v5", 1),
    ("ppo/CartPole-v1_7_0c94b1b6-2f3c-4b9e-8c3a-0a1b2c3d4e5f", None, "ppo", "CartPole-v1", 7),
    ("CartPole-v1__ppo_continuous_action__1__1700000000", None, "ppo_continuous_action", "CartPole-v1", 1),
    ("a2c-Acrobot-v1", None, "a2c", "Acrobot-v1", None),
    ("ppo_lstm-CarRacing-v0", None, "ppo_lstm", "CarRacing-v0", None),
    ("a2c-Pendulum-v1", "Pendulum-v0", "a2c", "Pendulum-v0", None),
    ("ppo_seed0", "CartPole-v1", "ppo", "CartPole-v1", 0),
    ("sac", "Pendulum-v1", "sac", "Pendulum-v1", None),
    ("ppo_lr0.001_CartPole-v1_s2_2024-01-02", None, "ppo_lr0.001", "CartPole-v1", 2),
    ("ppo_CartPole_clip_seed1", "CartPole-v1", "ppo_clip", "CartPole-v1", 1),
    ("custom_ppo_MiniGrid-DoorKey-5x5-v0_7", None, "custom_ppo", "MiniGrid-DoorKey-5x5-v0", 7),
    ("mymethod_CartPole-v1_0", None, "mymethod", "CartPole-v1", 0),
    ("PPO_1", None, "PPO", None, 1),
    ("weather_1", None, "weather", None, 1),
]


@pytest.mark.parametrize(("path", "header", "algo", "env", "seed"), PATHS)
def test_names_are_guessed_from_common_layouts(
    path: str, header: str | None, algo: str, env: str | None, seed: int | None
) -> None:
    guess = guess_names(path.split("/"), header)

    assert (guess.algo, guess.env, guess.seed) == (algo, env, seed)


@pytest.mark.parametrize(("path", "header", "algo", "env", "seed"), PATHS)
def test_the_guess_is_shown_as_a_pattern_that_gives_the_same_names(
    path: str, header: str | None, algo: str, env: str | None, seed: int | None
) -> None:
    guess = guess_names(path.split("/"), header)
    if "{algo}" not in guess.layout:
        assert algo == "ppo_clip"  # a name that another field interrupts: no pattern can say it
        return

    fields = path_pattern(guess.layout).match(path.split("/"))

    assert fields is not None
    assert fields["algo"] == algo
    assert fields.get("seed") == (None if seed is None else str(seed))
    if env is not None and "{env}" in guess.layout:
        assert fields["env"].split("-v")[0] == env.replace("/", "-").split("-v")[0]
