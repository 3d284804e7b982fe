"""Shares of the parts of `learn()`, from samples of the call stack.

A timer interrupts a training every millisecond, and the functions that are running then tell the part. Nothing is
wrapped, since an implementation may take another path when a method is wrapped, and a clock around calls of a
microsecond would measure itself. The same rules serve both implementations. Code in C is seen as the Python function
that called it. Python answers the timer only after a call into C has returned, and several ticks by then are one; so a
sample stands for the time since the sample before, and not for one tick.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from types import CodeType, FrameType

from harness.bench.speeds import PARTS

__all__ = ["part_of", "sampled_seconds", "shares"]

INTERVAL = 0.001
"""Seconds between two samples."""

_ENVIRONMENT_FILES = (
    *("/stable_baselines3/common/vec_env/", "/stable_baselines3/common/monitor.py", "/harness/bench/worlds.py"),
    *("/gymnasium/", "/minigrid/", "/ale_py/", "/custom_ppo/sb3/stepping.py", "/custom_ppo/sb3/normalization.py"),
)
_POLICY_FILES = (
    *("/stable_baselines3/common/policies.py", "/torch/nn/modules/", "/custom_ppo/engines/"),
    *("/custom_ppo/networks.py", "/custom_ppo/sb3/policy.py", "/custom_ppo/extractors.py"),
)
_POLICY_FUNCTIONS = ("act", "value", "terminal_value", "obs_as_tensor", "to_tensor")


def part_of(file: str, function: str) -> str | None:
    """Return the part of `learn()` that a function belongs to with all that it calls; None for one that tells nothing.

    file: path of its source, with slashes.
    """
    if function == "train":
        return "update"
    if "gae" in function or function == "compute_returns_and_advantage" or file.endswith("/custom_ppo/gae.py"):
        return "gae"
    if any(name in file for name in _ENVIRONMENT_FILES):
        return "environment"
    if function in _POLICY_FUNCTIONS or any(name in file for name in _POLICY_FILES):
        return "policy"
    return "rollout" if function == "collect_rollouts" else None


@contextmanager
def sampled_seconds() -> Iterator[dict[str, float]]:
    """Yield the seconds of each part, which grow until the end of the context. Only for the main thread.

    They stay zero where the system has no interval timers, as on Windows.
    """
    seconds = dict.fromkeys(PARTS, 0.0)
    if not hasattr(signal, "setitimer"):
        yield seconds
        return
    last = perf_counter()
    known: dict[CodeType, str | None] = {}

    def sample(_signal: int, frame: FrameType | None) -> None:
        nonlocal last
        part = "other"
        while frame is not None:
            code = frame.f_code
            if code not in known:
                known[code] = part_of(code.co_filename.replace("\\", "/"), code.co_name)
            found = known[code]
            # The outermost function decides: a network that `train` calls belongs to the update. `collect_rollouts`
            # is outside of all parts of the rollout, and has what none of them claims.
            if found is not None and (found != "rollout" or part == "other"):
                part = found
            frame = frame.f_back
        now = perf_counter()
        seconds[part] += now - last
        last = now

    before = signal.signal(signal.SIGALRM, sample)
    signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)
    try:
        yield seconds
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the share of each part, from 0 to 1; empty if nothing was sampled."""
    total = sum(seconds.values())
    return {part: seconds[part] / total for part in PARTS} if total else {}
