"""Environments and algorithms with planted faults, which worker processes can import by name."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO

from custom_ppo import CustomPPO
from custom_ppo.recipe import SB3_PPO
from harness.experiment.plan import RunSpec

__all__ = ["FAULTY_ENV", "MODULE", "FaultyEnv", "tiny_spec"]

MODULE = "tests.harness.toy_subjects"
FAULTY_ENV = f"{MODULE}:Faulty-v0"


class FaultyEnv(gym.Env[Any, Any]):
    """Random observations, episodes of ten steps, reward 1 for action 1, and a fault at the step `at`.

    trouble: kind of fault: "raise", "kill" (SIGKILL to its own process), "exit", "thread" (start a thread that does not
    end), or "nan" (NaN in every reward, from the first step), or a key of FAULTS. Each step takes `seconds`.
    when: "step", "reset", "close" or "constructor". path: folder or file that some faults need.
    """

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012  declared as in gymnasium.Env

    def __init__(
        self, trouble: str = "", at: int = 20, seconds: float = 0.0, when: str = "step", path: str = ""
    ) -> None:
        self.observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.trouble, self.at, self.seconds, self.when, self.path = trouble, at, seconds, when, path
        self.n_steps = 0
        if trouble == "generator":
            self.numbers = (number for number in range(3))  # cannot be pickled
        if when == "constructor":
            self.misbehave()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if self.when == "reset" and self.n_steps > 0:
            self.misbehave()
        return self.observe(), {}

    def close(self) -> None:
        if self.when == "close":
            self.misbehave()

    def observe(self) -> Any:
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.n_steps += 1
        time.sleep(self.seconds)
        if self.n_steps == self.at and self.when == "step":
            self.misbehave()
        reward = float("nan") if self.trouble == "nan" else float(action)
        return self.observe(), reward, self.n_steps % 10 == 0, False, {}

    def misbehave(self) -> None:
        match self.trouble:
            case "raise":
                raise RuntimeError("the rotor\nfell off [/dev/rotor]")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "thread":
                threading.Thread(target=time.sleep, args=(600,)).start()
            case "exit":
                os._exit(3)
            case "":
                pass
            case name if name in FAULTS:
                FAULTS[name](self)


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def hold_gil(_: FaultyEnv) -> None:
    """Hang without releasing the lock of the interpreter."""
    ctypes.PyDLL(None).pause()


def start_children(env: FaultyEnv) -> None:
    """Start a forked child, a program, and a program in a session of its own; write their ids into files."""
    forked = os.fork()
    if forked == 0:
        time.sleep(600)
        os._exit(0)
    program = subprocess.Popen(["sleep", "600"])
    daemon = subprocess.Popen(["sleep", "600"], start_new_session=True)
    for pid in (os.getpid(), forked, program.pid, daemon.pid):
        (Path(env.path) / str(pid)).write_text("")


def raise_error(error: BaseException) -> Callable[[FaultyEnv], None]:
    def fault(_: FaultyEnv) -> None:
        raise error

    return fault


def write_record_and_die(env: FaultyEnv) -> None:
    path = Path(env.path)
    (next(path.rglob("*.monitor.csv")).parent / "run.json").write_text((path / "record.json").read_text())
    os.kill(os.getpid(), signal.SIGKILL)


def send_half_a_message_and_die(_: FaultyEnv) -> None:
    for connection in [found for found in gc.get_objects() if isinstance(found, Connection) and not found.closed]:
        if stat.S_ISSOCK(os.fstat(connection.fileno()).st_mode):
            os.write(connection.fileno(), b"\0\0\1\0half of it")
    os.kill(os.getpid(), signal.SIGKILL)


def print_a_lot(_: FaultyEnv) -> None:
    print("\x1b[31mred\x1b[2J")
    for _ in range(30):
        os.write(2, b"x" * 100_000 + b"\n")


def use_memory(env: FaultyEnv) -> None:
    env.memory = np.ones(2**27)  # type: ignore[attr-defined]  1 GiB
    time.sleep(600)


def fill_disk(_: FaultyEnv) -> None:
    """Let this process write nothing more, as if the disk was full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    raise OSError(28, "No space left on device")


def kill_executor(_: FaultyEnv) -> None:
    """Kill the process that supervises this run: the parent of the one from which it was forked."""
    fields = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()
    os.kill(int(fields[1]), signal.SIGKILL)
    time.sleep(600)


FAULTS: Mapping[str, Callable[[FaultyEnv], Any]] = {
    "hang": lambda _: time.sleep(600),
    "hang with lock": hold_gil,
    "stop": lambda _: os.kill(os.getpid(), signal.SIGSTOP),
    "children": start_children,
    "children, then kill": lambda env: (start_children(env), os.kill(os.getpid(), signal.SIGKILL)),
    "children, then hang": lambda env: (start_children(env), time.sleep(600)),
    "change folder": lambda env: os.chdir(env.path),
    "remove folder": lambda env: [shutil.rmtree(path) for path in Path(env.path).glob("runs/*/*")],
    "exit with 0": lambda _: os._exit(0),
    "system exit": lambda _: sys.exit("\x1b[2Jlate"),
    "keyboard": raise_error(KeyboardInterrupt()),
    "unspeakable": raise_error(UnspeakableError()),
    "long message": raise_error(RuntimeError("\x1b]0;title\a" + "x" * 10**6)),
    "record": write_record_and_die,
    "half a message": send_half_a_message_and_die,
    "print": print_a_lot,
    "memory": use_memory,
    "full disk": fill_disk,
    "full disk elsewhere": raise_error(OSError(28, "No space left on device")),
    "kill executor": kill_executor,
    "close all": lambda _: (os.closerange(3, 1000), time.sleep(600)),
}


def raise_missing_package() -> Any:
    raise ModuleNotFoundError("No module named 'rotors'", name="rotors")


if "Faulty-v0" not in gym.registry:
    gym.register("Faulty-v0", FaultyEnv)
    gym.register("MissingPackage-v0", raise_missing_package)


class RaisesInConstructor(PPO):
    """An algorithm whose constructor raises."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError("no such\nreactor")


class RaisesInUpdate(PPO):
    """An algorithm whose first update raises."""

    def train(self) -> None:
        raise RuntimeError("the rotor\nfell off [/dev/rotor]")


class NoValueLoss(PPO):
    """SB3's PPO with a planted bug: vf_coef is ignored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "vf_coef": 0.0})


class Rounding(PPO):
    """SB3's PPO without a bug, but with the last bit of one weight changed after every update."""

    def train(self) -> None:
        super().train()
        with torch.no_grad():
            bias = self.policy.value_net.bias
            bias.copy_(torch.nextafter(bias, bias + 1))


class NoAdvantageNormalisation(PPO):
    """SB3's PPO with a planted bug: advantages are not normalised."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "normalize_advantage": False})


class Undiscounted(PPO):
    """SB3's PPO with a planted bug: gamma is always 1."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "gamma": 1.0})


class UnclippedValues(PPO):
    """SB3's PPO with a planted bug: clip_range_vf is ignored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "clip_range_vf": None})


def doubled_value_loss(*args: Any, **kwargs: Any) -> Any:
    return 2.0 * SB3_PPO.value_loss(*args, **kwargs)


class OtherValueLoss(CustomPPO):
    """CustomPPO with a planted bug in one part of its recipe: the value loss is doubled."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, recipe=SB3_PPO.replace(value_loss=doubled_value_loss))


HYPERPARAMS: Mapping[str, Any] = {
    "policy": "MlpPolicy",
    "n_envs": 2,
    "n_steps": 64,
    "batch_size": 64,
    "n_epochs": 2,
}


def tiny_spec(
    algo: str = "ppo", env: str = "CartPole-v1", seed: int = 0, *, n_timesteps: int = 256, **hyperparams: Any
) -> RunSpec:
    """Return the spec of a run of about a second; hyperparams override HYPERPARAMS, and None removes a key."""
    merged = {key: value for key, value in {**HYPERPARAMS, **hyperparams}.items() if value is not None}
    return RunSpec(
        algo.rpartition(":")[2],
        algo,
        env,
        seed,
        n_timesteps,
        eval_freq=n_timesteps // 2,
        n_eval_episodes=2,
        n_final_episodes=3,
        hyperparams=merged,
    )


def write_pid_and_sleep(folder: Path) -> None:
    """Write the process id into a file, sleep for 20 s, and write a second file."""
    own = folder / f"pid of {os.getpid()}"
    own.write_text(str(os.getpid()))
    own.replace(folder / "pid")  # so that the file is never found empty
    time.sleep(20)
    (folder / "done").write_text("")


def fail() -> None:
    raise ZeroDivisionError("one\nby nothing")


def die() -> None:
    os._exit(5)


def add(a: int, b: int) -> int:
    return a + b
