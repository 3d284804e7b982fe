from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from stable_baselines3.common.buffers import RolloutBuffer

from custom_ppo.engines.native.advantages import compiled_gae
from custom_ppo.engines.native.library import reason_against_loading
from custom_ppo.gae import gae

Float = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Rollout:
    rewards: NDArray[np.float32]
    values: NDArray[np.float32]
    episode_starts: NDArray[np.float32]
    last_values: NDArray[np.float32]
    dones: NDArray[np.bool_]

    def gae(self, gamma: float = 0.99, gae_lambda: float = 0.95) -> tuple[Float, Float]:
        return gae(
            self.rewards,
            self.values,
            self.episode_starts,
            self.last_values,
            self.dones,
            gamma=gamma,
            gae_lambda=gae_lambda,
        )

    def environments(self, index: Any) -> Rollout:
        """Return the rollout of some of the environments."""
        return Rollout(
            self.rewards[:, index],
            self.values[:, index],
            self.episode_starts[:, index],
            self.last_values[index],
            self.dones[index],
        )


def random_rollout(seed: int, n_steps: int, n_envs: int, p_end: float = 0.25) -> Rollout:
    rng = np.random.default_rng(seed)
    shape = (n_steps, n_envs)
    return Rollout(
        rng.normal(size=shape).astype(np.float32),
        rng.normal(size=shape).astype(np.float32),
        (rng.random(shape) < p_end).astype(np.float32),
        rng.normal(size=n_envs).astype(np.float32),
        rng.random(n_envs) < p_end,
    )


rollouts = st.builds(
    random_rollout, st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 4), st.sampled_from([0.0, 0.25, 1.0])
)
fractions = st.floats(0.0, 1.0)


def double_sum(rollout: Rollout, gamma: float, gae_lambda: float) -> tuple[Float, Float]:
    """sum_k (gamma lambda)^k delta_{t+k} up to the end of the episode, term by term, in float64: eqs. 11 and 16."""
    rewards, values = rollout.rewards.astype(np.float64), rollout.values.astype(np.float64)
    n_steps, n_envs = rewards.shape
    advantages = np.zeros((n_steps, n_envs))
    for env in range(n_envs):
        for t in range(n_steps):
            for k in range(t, n_steps):
                last = k == n_steps - 1
                ends = bool(rollout.dones[env]) if last else bool(rollout.episode_starts[k + 1, env])
                following = 0.0 if ends else float(rollout.last_values[env] if last else values[k + 1, env])
                delta = rewards[k, env] + gamma * following - values[k, env]
                advantages[t, env] += (gamma * gae_lambda) ** (k - t) * delta
                if ends:
                    break
    return advantages, advantages + values


def steps_to_end(rollout: Rollout) -> NDArray[np.int64]:
    """Steps from t to the end of its episode, or of the rollout, [T, N]; 1 where the next state starts an episode."""
    n_steps, n_envs = rollout.rewards.shape
    counts = np.zeros((n_steps, n_envs), dtype=np.int64)
    for env in range(n_envs):
        ends = [t for t in range(1, n_steps) if rollout.episode_starts[t, env]] + [n_steps]
        for t in range(n_steps):
            counts[t, env] = min(end for end in ends if end > t) - t
    return counts


def test_two_steps_by_hand() -> None:
    rollout = Rollout(
        rewards=np.array([[1.0], [2.0]], np.float32),
        values=np.array([[0.5], [1.0]], np.float32),
        episode_starts=np.zeros((2, 1), np.float32),
        last_values=np.array([4.0], np.float32),
        dones=np.array([False]),
    )
    # deltas: 1 + 0.5 * 1 - 0.5 = 1 and 2 + 0.5 * 4 - 1 = 3; the first advantage is 1 + 0.5 * 0.5 * 3
    advantages, returns = rollout.gae(gamma=0.5, gae_lambda=0.5)
    assert advantages.ravel().tolist() == [1.75, 3.0]
    assert returns.ravel().tolist() == [2.25, 4.0]


def test_a_done_after_the_last_step_ignores_the_last_value() -> None:
    rollout = random_rollout(0, 6, 2)
    done = replace(rollout, dones=np.array([True, True]))
    for last_value in (0.0, 1e6):
        advantages, _ = replace(done, last_values=np.full(2, last_value, np.float32)).gae()
        np.testing.assert_array_equal(advantages, done.gae()[0])


@given(rollouts, fractions, fractions)
def test_it_is_the_double_sum_of_the_paper(rollout: Rollout, gamma: float, gae_lambda: float) -> None:
    for ours, expected in zip(rollout.gae(gamma, gae_lambda), double_sum(rollout, gamma, gae_lambda), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=2e-5)


@given(rollouts, st.floats(0.0, 1.0))
def test_lambda_one_gives_discounted_returns_minus_values(rollout: Rollout, gamma: float) -> None:
    _, returns = rollout.gae(gamma, gae_lambda=1.0)
    n_steps = len(rollout.rewards)
    for (t, env), length in np.ndenumerate(steps_to_end(rollout)):
        end = t + length
        discounts = gamma ** np.arange(length)
        expected = float(discounts @ rollout.rewards[t:end, env].astype(np.float64))
        if end == n_steps and not rollout.dones[env]:
            expected += gamma**length * float(rollout.last_values[env])
        assert returns[t, env] == pytest.approx(expected, rel=1e-5, abs=2e-5)


@given(rollouts, fractions)
def test_lambda_zero_gives_the_error_of_one_step(rollout: Rollout, gamma: float) -> None:
    next_values = np.vstack([rollout.values[1:], rollout.last_values[None]])
    next_values[np.vstack([rollout.episode_starts[1:], rollout.dones[None]]) == 1] = 0
    _, returns = rollout.gae(gamma, gae_lambda=0.0)
    np.testing.assert_allclose(returns, rollout.rewards + gamma * next_values, rtol=1e-5, atol=1e-5)


@given(rollouts, fractions)
def test_gamma_zero_sees_only_the_next_reward(rollout: Rollout, gae_lambda: float) -> None:
    advantages, _ = rollout.gae(gamma=0.0, gae_lambda=gae_lambda)
    np.testing.assert_array_equal(advantages, rollout.rewards - rollout.values)


@given(rollouts, st.floats(0.0, 0.99), st.floats(0.0, 0.99), st.floats(-3.0, 3.0))
def test_a_bonus_in_every_step_adds_its_geometric_series(
    rollout: Rollout, gamma: float, gae_lambda: float, bonus: float
) -> None:
    shifted, _ = replace(rollout, rewards=rollout.rewards + np.float32(bonus)).gae(gamma, gae_lambda)
    decay = gamma * gae_lambda
    series = (1 - decay ** steps_to_end(rollout)) / (1 - decay)
    np.testing.assert_allclose(shifted - rollout.gae(gamma, gae_lambda)[0], bonus * series, rtol=1e-4, atol=1e-4)


@given(rollouts)
def test_doubling_rewards_and_values_doubles_advantages_to_the_bit(rollout: Rollout) -> None:
    doubled = replace(
        rollout, rewards=2 * rollout.rewards, values=2 * rollout.values, last_values=2 * rollout.last_values
    )
    np.testing.assert_array_equal(doubled.gae()[0], 2 * rollout.gae()[0])


@given(rollouts)
def test_every_environment_is_on_its_own(rollout: Rollout) -> None:
    together, _ = rollout.gae()
    for env in range(together.shape[1]):
        alone, _ = rollout.environments(slice(env, env + 1)).gae()
        np.testing.assert_array_equal(alone[:, 0], together[:, env])


@given(rollouts)
def test_the_first_row_of_episode_starts_is_never_read(rollout: Rollout) -> None:
    starts = rollout.episode_starts.copy()
    starts[0] = np.nan
    np.testing.assert_array_equal(replace(rollout, episode_starts=starts).gae()[0], rollout.gae()[0])


@given(rollouts, st.data())
def test_nothing_leaks_back_across_the_start_of_an_episode(rollout: Rollout, data: st.DataObject) -> None:
    n_steps, n_envs = rollout.rewards.shape
    start = data.draw(st.integers(1, n_steps), label="start")
    starts, dones = rollout.episode_starts.copy(), rollout.dones.copy()
    if start == n_steps:
        dones[:] = True
    else:
        starts[start] = 1
    before = replace(rollout, episode_starts=starts, dones=dones)
    rewards, values = rollout.rewards.copy(), rollout.values.copy()
    rewards[start:], values[start:] = 1e6, -1e6
    after = replace(before, rewards=rewards, values=values, last_values=np.full(n_envs, 1e6, np.float32))
    np.testing.assert_array_equal(after.gae()[0][:start], before.gae()[0][:start])


def test_the_inputs_are_left_alone_and_the_results_are_float32() -> None:
    rollout = random_rollout(1, 5, 2)
    arrays = [rollout.rewards, rollout.values, rollout.episode_starts, rollout.last_values]
    copies = [array.copy() for array in arrays]
    advantages, returns = rollout.gae()
    assert advantages.dtype == returns.dtype == np.float32
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_boolean_episode_starts_mean_the_same() -> None:
    rollout = random_rollout(2, 9, 3)
    as_bool = replace(rollout, episode_starts=rollout.episode_starts.astype(bool))
    np.testing.assert_array_equal(as_bool.gae()[0], rollout.gae()[0])


@given(rollouts, fractions, fractions, st.booleans())
def test_it_equals_sb3s_rollout_buffer_to_the_bit(
    rollout: Rollout, gamma: float, gae_lambda: float, as_numpy_scalars: bool
) -> None:
    # A tuner hands over NumPy scalars, which promote float32 arrays to float64 where Python floats do not.
    number = np.float64 if as_numpy_scalars else float
    n_steps, n_envs = rollout.rewards.shape
    buffer = RolloutBuffer(
        n_steps,
        spaces.Box(-1, 1, (1,)),
        spaces.Discrete(2),
        device="cpu",
        gamma=number(gamma),
        gae_lambda=number(gae_lambda),
        n_envs=n_envs,
    )
    buffer.rewards, buffer.values = rollout.rewards.copy(), rollout.values.copy()
    buffer.episode_starts = rollout.episode_starts.copy()
    buffer.compute_returns_and_advantage(torch.tensor(rollout.last_values)[:, None], rollout.dones)
    advantages, returns = rollout.gae(number(gamma), number(gae_lambda))
    np.testing.assert_array_equal(advantages, buffer.advantages)
    np.testing.assert_array_equal(returns, buffer.returns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rewards": np.zeros(4, np.float32)}, "rewards must have shape [n_steps, n_envs], got (4,)"),
        (
            {"values": np.zeros((4, 3), np.float32)},
            "values must have shape (4, 2) to match rewards (4, 2), got (4, 3)",
        ),
        (
            {"episode_starts": np.zeros((5, 2), np.float32)},
            "episode_starts must have shape (4, 2) to match rewards (4, 2), got (5, 2)",
        ),
        (
            {"last_values": np.zeros((2, 1), np.float32)},
            "last_values must have shape (2,) to match rewards (4, 2), got (2, 1)",
        ),
        ({"dones": np.zeros(4, bool)}, "dones must have shape (2,) to match rewards (4, 2), got (4,)"),
    ],
    ids=["rewards", "values", "episode_starts", "last_values", "dones"],
)
def test_a_wrong_shape_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  the whole message is compared
        replace(random_rollout(0, 4, 2), **change).gae()
    assert str(error.value) == message


@pytest.mark.skipif(reason_against_loading() is not None, reason="the kernels are not compiled")
@given(rollouts, fractions, fractions)
def test_compiled_advantages_have_the_same_bits(rollout: Rollout, gamma: float, gae_lambda: float) -> None:
    compiled = compiled_gae()
    assert compiled is not None
    arrays = rollout.rewards, rollout.values, rollout.episode_starts, rollout.last_values, rollout.dones
    for ours, theirs in zip(
        compiled(*arrays, gamma=gamma, gae_lambda=gae_lambda), rollout.gae(gamma, gae_lambda), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("n_envs", [1, 3, 4, 17])
def test_few_and_many_environments_have_the_same_advantages(n_envs: int) -> None:
    rollout = random_rollout(0, 50, n_envs)
    for env in range(n_envs):
        alone = rollout.environments([env]).gae()
        for ours, all_ in zip(alone, rollout.gae(), strict=True):
            np.testing.assert_array_equal(ours[:, 0], all_[:, env])
