from __future__ import annotations

import signal
from time import perf_counter

import pytest

from harness.bench.parts import part_of, sampled_seconds, shares
from harness.bench.speeds import PARTS


def spin(seconds: float) -> None:
    end = perf_counter() + seconds
    while perf_counter() < end:
        pass


def act(seconds: float) -> None:
    spin(seconds)


def train(seconds: float) -> None:
    act(seconds)


def collect_rollouts(seconds: float) -> None:
    act(seconds)
    spin(seconds)


@pytest.mark.parametrize(
    ("file", "function", "part"),
    [
        ("/x/stable_baselines3/ppo/ppo.py", "train", "update"),
        ("/x/stable_baselines3/common/on_policy_algorithm.py", "collect_rollouts", "rollout"),
        ("/x/stable_baselines3/common/vec_env/dummy_vec_env.py", "step_wait", "environment"),
        ("/x/stable_baselines3/common/monitor.py", "step", "environment"),
        ("/x/gymnasium/envs/classic_control/cartpole.py", "step", "environment"),
        ("/x/custom_ppo/sb3/stepping.py", "_step", "environment"),
        ("/x/stable_baselines3/common/policies.py", "forward", "policy"),
        ("/x/custom_ppo/engines/native/actor.py", "act", "policy"),
        ("/x/custom_ppo/agent.py", "act", "policy"),
        ("/x/stable_baselines3/common/buffers.py", "compute_returns_and_advantage", "gae"),
        ("/x/custom_ppo/gae.py", "gae", "gae"),
        ("/x/custom_ppo/memory.py", "add", None),
        ("/x/stable_baselines3/common/logger.py", "dump", None),
    ],
)
def test_functions_belong_to_parts(file: str, function: str, part: str | None) -> None:
    assert part_of(file, function) == part


def test_samples_are_counted_for_the_outermost_part() -> None:
    with sampled_seconds() as seconds:
        train(0.3)
        collect_rollouts(0.1)

    found = shares(seconds)
    # Acting within the update belongs to the update. Wide limits, as another program may take the processor.
    assert 0.3 < found["update"] < 0.8
    assert 0.05 < found["policy"] < 0.4
    assert 0.05 < found["rollout"] < 0.4
    assert sum(found.values()) == pytest.approx(1.0)


def test_one_long_call_into_c_counts_with_its_whole_time() -> None:
    def train() -> None:
        sorted(numbers)  # ticks within it are answered once, when it has returned

    numbers = [hash(str(i)) for i in range(300_000)]
    with sampled_seconds() as seconds:
        start = perf_counter()
        train()
        took = perf_counter() - start
        act(0.02)

    assert seconds["update"] > 0.8 * took


def test_the_timer_and_its_handler_are_gone_afterwards() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(KeyboardInterrupt), sampled_seconds():
        raise KeyboardInterrupt

    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == before


def test_without_samples_there_are_no_shares() -> None:
    assert shares(dict.fromkeys(PARTS, 0.0)) == {}


def test_a_system_without_interval_timers_has_no_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "setitimer")
    with sampled_seconds() as seconds:
        train(0.01)

    assert shares(seconds) == {}
