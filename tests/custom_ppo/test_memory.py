from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer

from custom_ppo.memory import Batch, TrajectoryMemory

CPU = torch.device("cpu")
T, N = 5, 3
VECTOR = spaces.Box(-1, 1, (2,))
OBSERVATIONS: dict[str, spaces.Space[Any]] = {
    "vector": VECTOR,
    "doubles": spaces.Box(-1, 1, (2,), np.float64),
    "image": spaces.Box(0, 255, (1, 2, 3), np.uint8),
    "discrete": spaces.Discrete(4),
    "multi-discrete": spaces.MultiDiscrete([2, 3]),
    "dict": spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Discrete(3)}),
}
ACTIONS: dict[str, spaces.Space[Any]] = {
    "discrete": spaces.Discrete(4),
    "box": spaces.Box(-1, 1, (2,)),
    "doubles": spaces.Box(-1, 1, (2, 2), np.float64),
    "multi-discrete": spaces.MultiDiscrete([2, 3]),
    "multi-binary": spaces.MultiBinary(3),
}


def sampled(space: spaces.Space[Any], n: int) -> Any:
    """Observations or actions as a vectorised environment stacks them."""
    if isinstance(space, spaces.Dict):
        return {key: sampled(part, n) for key, part in space.spaces.items()}
    return np.array([space.sample() for _ in range(n)])


def filled(observations: spaces.Space[Any], actions: spaces.Space[Any]) -> tuple[TrajectoryMemory, RolloutBuffer]:
    """Our memory and SB3's buffer after the same T steps of N environments."""
    observations.seed(0)
    actions.seed(0)
    rng = np.random.default_rng(0)
    memory = TrajectoryMemory(T, N, observations, actions)
    buffer_class = DictRolloutBuffer if isinstance(observations, spaces.Dict) else RolloutBuffer
    buffer: RolloutBuffer = buffer_class(T, observations, actions, CPU, n_envs=N)  # type: ignore[arg-type]
    for _ in range(T):
        step = (
            sampled(observations, N),
            sampled(actions, N),
            rng.normal(size=N),
            rng.random(N) < 0.3,
            torch.randn(N, 1),
            torch.randn(N),
        )
        memory.add(*step)
        buffer.add(*step)
    for name in ("advantages", "returns"):
        array = rng.normal(size=(T, N)).astype(np.float32)
        setattr(memory, name, array)
        setattr(buffer, name, array.copy())
    return memory, buffer


def as_list(observations: Any) -> list[torch.Tensor]:
    return list(observations.values()) if isinstance(observations, dict) else [observations]


@pytest.mark.parametrize("actions", list(ACTIONS))
@pytest.mark.parametrize("observations", list(OBSERVATIONS))
@pytest.mark.parametrize("batch_size", [4, None])
def test_minibatches_are_those_of_sb3s_buffer(observations: str, actions: str, batch_size: int | None) -> None:
    memory, buffer = filled(OBSERVATIONS[observations], ACTIONS[actions])
    np.random.seed(0)  # noqa: NPY002
    theirs = list(buffer.get(batch_size))
    np.random.seed(0)  # noqa: NPY002
    permutation = np.random.permutation(T * N)  # noqa: NPY002
    ours = list(memory.flatten(CPU).minibatches(batch_size, permutation))
    assert [len(part) for part in ours] == ([4, 4, 4, 3] if batch_size else [15])
    for our, their in zip(ours, theirs, strict=True):
        their_actions = their.actions.long().flatten() if actions == "discrete" else their.actions
        pairs = [
            *zip(as_list(our.observations), as_list(their.observations), strict=True),
            (our.actions, their_actions),
            (our.old_values, their.old_values),
            (our.old_log_prob, their.old_log_prob),
            (our.advantages, their.advantages),
            (our.returns, their.returns),
        ]
        for a, b in pairs:
            assert a.dtype == b.dtype
            assert torch.equal(a, b)


def test_transition_t_of_environment_n_is_row_n_times_t() -> None:
    memory, _ = filled(VECTOR, ACTIONS["box"])
    memory.rewards = np.arange(T * N, dtype=np.float32).reshape(T, N)
    memory.returns = memory.rewards
    returns = memory.flatten(CPU).returns
    for t in range(T):
        for n in range(N):
            assert returns[n * T + t] == memory.rewards[t, n]


def test_everything_is_copied_because_environments_reuse_their_arrays() -> None:
    memory = TrajectoryMemory(1, 1, VECTOR, ACTIONS["box"])
    observations, actions = np.ones((1, 2), np.float32), np.ones((1, 2), np.float32)
    rewards, episode_starts = np.ones(1), np.ones(1, bool)
    values, log_probs = torch.ones(1, 1), torch.ones(1)
    memory.add(observations, actions, rewards, episode_starts, values, log_probs)
    for reused in (observations, actions, rewards, episode_starts, values.numpy(), log_probs.numpy()):
        reused[...] = 0
    for name in ("observations", "actions", "rewards", "episode_starts", "values", "log_probs"):
        assert np.all(getattr(memory, name) == 1), name


@pytest.mark.parametrize("n_envs", [1, 3])
def test_a_batch_is_no_view_of_the_memory(n_envs: int) -> None:
    memory = TrajectoryMemory(T, n_envs, VECTOR, ACTIONS["box"])
    memory.returns = np.arange(T * n_envs, dtype=np.float32).reshape(T, n_envs)
    batch = memory.flatten(CPU)
    expected = batch.returns.clone()
    memory.returns[...] = 0
    assert torch.equal(batch.returns, expected)


def test_a_full_memory_takes_no_more() -> None:
    memory, _ = filled(VECTOR, ACTIONS["box"])
    assert memory.full
    zeros = np.zeros(N)
    with pytest.raises(IndexError, match=r"^the memory holds n_steps=5 steps and is full; reset\(\) it first$"):
        memory.add(zeros, zeros, zeros, zeros.astype(bool), torch.zeros(N, 1), torch.zeros(N))


def test_after_a_reset_the_old_arrays_still_belong_to_whoever_kept_them() -> None:
    memory, _ = filled(VECTOR, ACTIONS["box"])
    kept, copy = memory.rewards, memory.rewards.copy()
    memory.reset()
    assert not memory.full
    assert memory.position == 0
    assert not memory.rewards.any()
    np.testing.assert_array_equal(kept, copy)


@pytest.mark.parametrize("batch_size", [1, 4, 15, 99, None])
def test_every_transition_is_in_one_minibatch_of_an_epoch(batch_size: int | None) -> None:
    n = torch.arange(15.0)
    batch = Batch({"a": n, "b": n[:, None]}, n, n, n, n, n)
    permutation = np.random.default_rng(0).permutation(15)
    parts = list(batch.minibatches(batch_size, permutation))
    assert torch.cat([part.returns for part in parts]).tolist() == permutation.tolist()
    for part in parts:
        assert isinstance(part.observations, dict)
        assert torch.equal(part.observations["b"][:, 0], part.actions), "fields of one transition stay together"


@pytest.mark.parametrize(("batch_size", "sizes"), [(2, [2, 1]), (None, [3])])
def test_indices_that_are_left_out_are_in_no_minibatch(batch_size: int | None, sizes: list[int]) -> None:
    n = torch.arange(15.0)
    parts = list(Batch(n, n, n, n, n, n).minibatches(batch_size, np.array([4, 0, 2])))
    assert [len(part) for part in parts] == sizes
    assert torch.cat([part.returns for part in parts]).tolist() == [4, 0, 2]


def test_a_space_without_a_shape_cannot_be_remembered() -> None:
    with pytest.raises(NotImplementedError) as error:
        TrajectoryMemory(1, 1, spaces.Sequence(spaces.Discrete(2)), spaces.Discrete(2))
    assert str(error.value) == (
        "observations of Sequence(Discrete(2), stack=False) cannot be remembered: it has no shape"
    )
