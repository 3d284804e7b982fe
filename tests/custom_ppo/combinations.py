"""Random combinations of spaces, policies, wrappers and hyperparameters, each trained by SB3's PPO and by CustomPPO.

    python -m tests.custom_ppo.combinations 300         combinations 0 to 299, and a table of the equal ones
    python -m tests.custom_ppo.combinations 1 --first 7 number 7 alone
    python -m tests.custom_ppo.combinations 300 --engine fused
    python -m tests.custom_ppo.combinations 60 --observations image

A combination depends on its number alone, so one that failed can be trained again.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecNormalize, VecTransposeImage
from torch import Tensor, nn

from custom_ppo import CustomPPO
from custom_ppo.engines.native.library import ENVIRONMENT_VARIABLE
from tests.custom_ppo.parity import differences, train
from tests.probe_envs import RandomWorld

__all__ = ["Combination", "Result", "compare", "draw"]

Space = spaces.Space[Any]
Rng = np.random.Generator

_OTHER_ACTIVATIONS = (nn.ELU, nn.GELU, nn.LeakyReLU, nn.SiLU, nn.Sigmoid, nn.Identity, nn.Mish)
"""Activations of which the last is left to autograd."""
ENGINES = ("auto", "fused", "autograd")
REAL_ENVS = ("CartPole-v1", "Acrobot-v1", "Pendulum-v1", "MountainCarContinuous-v0")
OBSERVATIONS: Mapping[str, Callable[[Rng], Space]] = {
    "vector": lambda rng: spaces.Box(-1, 1, (int(rng.integers(1, 6)),)),
    "doubles": lambda rng: spaces.Box(-3, 3, (2, int(rng.integers(1, 4))), np.float64),
    "discrete": lambda rng: spaces.Discrete(int(rng.integers(2, 7))),
    "multi-discrete": lambda rng: spaces.MultiDiscrete(rng.integers(2, 5, size=rng.integers(1, 4))),
    "multi-binary": lambda rng: spaces.MultiBinary(int(rng.integers(1, 5))),
    "small image": lambda rng: spaces.Box(0, 255, (6, 5, 3), np.uint8),
    "image": lambda rng: spaces.Box(0, 255, _image_shape(rng), np.uint8),
    "normalised image": lambda rng: spaces.Box(-1, 1, (2, 36, 37)),
    "dict": lambda rng: _mixed(rng),
    "dict of vectors": lambda rng: spaces.Dict({"a": spaces.Box(-1, 1, (3,)), "b": spaces.Box(-1, 1, (2, 2))}),
    "dict of vectors and choices": lambda rng: _mixed(rng, images=False),
}
ACTIONS: Mapping[str, Callable[[Rng], Space]] = {
    "discrete": lambda rng: spaces.Discrete(int(rng.integers(2, 5))),
    "box": lambda rng: spaces.Box(-1, 1, (int(rng.integers(1, 4)),)),
    "tight box": lambda rng: spaces.Box(np.array([-0.1, -1], np.float32), np.array([0.3, 0.5], np.float32)),
    "matrix": lambda rng: spaces.Box(-2, 2, (2, 2), np.float64),
    "multi-discrete": lambda rng: spaces.MultiDiscrete(rng.integers(2, 5, size=rng.integers(1, 4))),
    "multi-binary": lambda rng: spaces.MultiBinary(int(rng.integers(1, 4))),
}


class LinearExtractor(BaseFeaturesExtractor):
    """Features extractor of a user, with weights of its own."""

    def __init__(self, observation_space: Space, features_dim: int = 5) -> None:
        super().__init__(observation_space, features_dim)
        self.linear = nn.Linear(spaces.flatdim(observation_space), features_dim)

    def forward(self, observations: Tensor) -> Tensor:
        return torch.tanh(self.linear(observations.flatten(1)))


@dataclass(frozen=True)
class Combination:
    """Way to train: arguments of `parity.train`, and a word for each choice."""

    number: int
    words: Mapping[str, str]
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """Differences between two trainings in words; empty if they are equal."""

    combination: Combination
    reasons: tuple[str, ...]
    engine: str = ""


def _image_shape(rng: Rng) -> tuple[int, int, int]:
    height, width, channels = (int(n) for n in (rng.integers(36, 42), rng.integers(36, 42), rng.choice([1, 3, 4])))
    return (channels, height, width) if rng.random() < 0.5 else (height, width, channels)


def _mixed(rng: Rng, images: bool = True) -> Space:
    names = ("vector", "doubles", "discrete", "multi-discrete", "multi-binary")
    parts = {name: OBSERVATIONS[name](rng) for name in names}
    if images:
        parts["image"] = spaces.Box(0, 255, (36, 38, 3), np.uint8)
    kept = rng.choice(sorted(parts), size=int(rng.integers(1, len(parts) + 1)), replace=False)
    return spaces.Dict({name: parts[name] for name in kept})


def draw(number: int) -> Combination:
    """Return the combination of this number."""
    rng = np.random.default_rng([number, 20260])
    if rng.random() < 0.2:
        name = str(rng.choice(REAL_ENVS))
        limit = int(rng.integers(5, 60))
        make_env: Callable[[], gym.Env[Any, Any]] = lambda: gym.make(name, max_episode_steps=limit)  # noqa: E731
        words = {"observations": "real environment", "actions": name, "policy": "MlpPolicy"}
        observations, actions = make_env().observation_space, make_env().action_space
    else:
        kinds = str(rng.choice(list(OBSERVATIONS))), str(rng.choice(list(ACTIONS)))
        observations, actions = OBSERVATIONS[kinds[0]](rng), ACTIONS[kinds[1]](rng)
        policy = {"image": "CnnPolicy", "normalised image": "CnnPolicy"}.get(kinds[0], "MlpPolicy")
        policy = "MultiInputPolicy" if isinstance(observations, spaces.Dict) else policy
        words = {"observations": kinds[0], "actions": kinds[1], "policy": policy}
        make_env = _world(observations, actions, int(rng.integers(2, 15)))
    wrapper, wrap = _wrapper(rng, words, observations)
    sde = isinstance(actions, spaces.Box) and rng.random() < 0.4
    numbers, policy_kwargs = _numbers(rng), _policy_kwargs(rng, words, sde)
    words |= {
        "wrapper": wrapper,
        "gSDE": "gSDE" if sde else "no gSDE",
        "early stopping": "no target_kl" if numbers["target_kl"] is None else "target_kl",
        "value clipping": "no clip_range_vf" if numbers["clip_range_vf"] is None else "clip_range_vf",
        "optimiser": getattr(policy_kwargs.get("optimizer_class"), "__name__", "default optimiser"),
    }
    arguments = {"env": make_env, "wrap": wrap, "policy": words["policy"], "policy_kwargs": policy_kwargs, **numbers}
    if sde:
        arguments |= {"use_sde": True, "sde_sample_freq": int(rng.choice([-1, 1, 3, 4]))}
    if wrapper == "no wrapper" and words["policy"] == "MlpPolicy":
        arguments["evaluate"] = rng.random() < 0.2
    words["processes"], arguments["in_processes"] = ("SubprocVecEnv", True) if rng.random() < 0.15 else ("one", False)
    return Combination(number, words, {**arguments, "seed": number})


def _world(observations: Space, actions: Space, time_limit: int) -> Callable[[], gym.Env[Any, Any]]:
    return lambda: RandomWorld(copy.deepcopy(observations), copy.deepcopy(actions), time_limit)


def _wrapper(rng: Rng, words: Mapping[str, str], observations: Space) -> tuple[str, Callable[[VecEnv], VecEnv]]:
    """Return the name of a wrapper and the function that wraps the environments."""
    kind, chance = words["observations"], rng.random()
    n_stack = int(rng.integers(2, 5))
    # Numbers that stand for themselves can be normalised; images and choices cannot, but every reward can.
    norm_obs = kind in ("vector", "doubles", "real environment", "dict of vectors")
    keys = _normalized_keys(rng, observations) if isinstance(observations, spaces.Dict) and not norm_obs else None
    norm_obs = norm_obs or bool(keys)
    normalized = f"VecNormalize{' of some keys' if keys else '' if norm_obs else ' of rewards'}"
    if isinstance(observations, spaces.Box):
        if chance < 0.1 and is_image_space(observations) and not is_image_space_channels_first(observations):
            return "VecTransposeImage below VecFrameStack", lambda env: VecFrameStack(VecTransposeImage(env), n_stack)
        if chance < 0.2:
            return "VecFrameStack", lambda env: VecFrameStack(env, n_stack)
        if chance < 0.3:
            wrap_both = lambda env: VecFrameStack(VecNormalize(env, norm_obs=norm_obs), n_stack)  # noqa: E731
            return f"{normalized} below VecFrameStack", wrap_both
    if chance < 0.6:
        return normalized, lambda env: VecNormalize(env, norm_obs=norm_obs, norm_obs_keys=keys)
    return "no wrapper", lambda env: env


def _normalized_keys(rng: Rng, observations: spaces.Dict) -> list[str] | None:
    """Return some keys of vectors, or None."""
    vectors = [key for key, space in observations.spaces.items() if isinstance(space, spaces.Box) and key != "image"]
    return [key for key in vectors if rng.random() < 0.8] or None


def _one_of(rng: Rng, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _scheduled(rng: Rng, value: float) -> Any:
    """Return the value, or a schedule that falls to a tenth of it."""
    return value if rng.random() < 0.6 else lambda progress: value * (0.1 + 0.9 * progress)


def _numbers(rng: Rng) -> dict[str, Any]:
    normalize_advantage = bool(rng.random() < 0.7)
    return {
        "n_envs": int(rng.integers(1, 6)),
        "n_steps": int(rng.integers(2, 40)),
        "batch_size": int(rng.integers(2 if normalize_advantage else 1, 80)),
        "n_epochs": int(rng.integers(1, 5)),
        "learning_rate": _scheduled(rng, float(10 ** rng.uniform(-4, -2))),
        "gamma": float(rng.uniform(0.8, 1.0)),
        "gae_lambda": float(rng.uniform(0.0, 1.0)),
        "clip_range": _scheduled(rng, float(rng.uniform(0.05, 0.3))),
        "clip_range_vf": None if rng.random() < 0.5 else _scheduled(rng, float(rng.uniform(0.05, 0.5))),
        "normalize_advantage": normalize_advantage,
        "ent_coef": _one_of(rng, [0.0, 0.01, 0.1]),
        "vf_coef": float(rng.uniform(0.1, 1.0)),
        "max_grad_norm": float(10 ** rng.uniform(-2, 1)),
        "target_kl": _one_of(rng, [None, None, 0.001, 0.02]),
        "parts": _one_of(rng, [1, 1, 2]),
        "n_iterations": 4,
    }


def _policy_kwargs(rng: Rng, words: Mapping[str, str], sde: bool) -> dict[str, Any]:
    kwargs: dict[str, Any] = {
        "activation_fn": _one_of(rng, [nn.Tanh, nn.Tanh, nn.ReLU, nn.ReLU, *_OTHER_ACTIVATIONS]),
        "ortho_init": bool(rng.random() < 0.8),
        "log_std_init": float(rng.uniform(-2, 0.5)),
        "share_features_extractor": bool(rng.random() < 0.7),
    }
    widths = rng.integers(1, 40, size=4).tolist()
    if rng.random() < 0.8:
        pairs = {"pi": widths[:1], "vf": widths[1:3]}, {"pi": widths[:2]}
        kwargs["net_arch"] = _one_of(rng, [[], widths[:1], widths[:2], *pairs])
    kwargs |= _one_of(
        rng,
        [
            *[{}] * 8,
            {"optimizer_class": torch.optim.Adam, "optimizer_kwargs": {"weight_decay": 0.01, "eps": 1e-6}},
            {"optimizer_class": torch.optim.Adam, "optimizer_kwargs": {"amsgrad": True}},
            {"optimizer_class": torch.optim.AdamW},
            {"optimizer_class": torch.optim.RMSprop, "optimizer_kwargs": {"alpha": 0.95}},
            {"optimizer_class": torch.optim.RMSprop, "optimizer_kwargs": {"momentum": 0.5, "centered": True}},
            {"optimizer_class": RMSpropTFLike, "optimizer_kwargs": {"eps": 1e-5}},
            {"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {"momentum": 0.5, "nesterov": True}},
            {"optimizer_class": torch.optim.Adagrad},
        ],
    )
    if sde:
        squash = bool(rng.random() < 0.4)
        kwargs |= {"squash_output": squash, "full_std": bool(rng.integers(2)), "use_expln": bool(rng.integers(2))}
    return kwargs | _extractor(rng, words)


def _extractor(rng: Rng, words: Mapping[str, str]) -> dict[str, Any]:
    """Return arguments of the features extractor, if the observations leave a choice."""
    chance = rng.random()
    if words["observations"] == "normalised image":
        return {"normalize_images": False, "features_extractor_kwargs": {"features_dim": 16}}
    if words["observations"] in ("vector", "doubles", "real environment") and chance < 0.25:
        return {"features_extractor_class": LinearExtractor, "features_extractor_kwargs": {"features_dim": 7}}
    if chance < 0.5:
        return {"normalize_images": bool(chance < 0.25)}
    width = {"CnnPolicy": "features_dim", "MultiInputPolicy": "cnn_output_dim"}.get(words["policy"])
    return {"features_extractor_kwargs": {width: 12}} if width else {}


def compare(combination: Combination, subject: Callable[..., Any] = CustomPPO) -> Result:
    """Train both algorithms, and return the differences."""
    outcomes, errors = [], []
    for cls in (subject, PPO):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                # Both get a copy of their own: SB3 writes into policy_kwargs.
                arguments = {**combination.arguments}
                arguments["policy_kwargs"] = copy.deepcopy(arguments["policy_kwargs"])
                outcomes.append(train(cls, **arguments))
            except Exception as error:  # what it is goes into the table
                name = getattr(cls, "__name__", "CustomPPO")
                errors.append(f"{name} failed: {type(error).__name__}: {error}")
    if errors:
        return Result(combination, tuple(errors))
    ours, theirs = outcomes
    reasons = tuple(differences(ours, theirs)) if theirs.logs else ("nothing was logged",)
    return Result(combination, reasons, type(ours.model.agent.engine).__name__)


def _print_table(results: Sequence[Result]) -> None:
    """Print for every choice how often it was tried and how often both trainings were equal, then all failures."""
    tried, equal = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for result in results:
        for axis, word in {**result.combination.words, "engine": result.engine or "none"}.items():
            tried[axis, word] += 1
            equal[axis, word] += not result.reasons
    print(f"\n{'':55}{'tried':>7}{'equal':>7}")
    print(f"{'all':55}{len(results):7}{sum(not result.reasons for result in results):7}")
    for axis, word in sorted(tried):
        print(f"{axis + ': ' + word:55}{tried[axis, word]:7}{equal[axis, word]:7}")
    for result in results:
        if result.reasons:
            print(f"\nnumber {result.combination.number}, {', '.join(result.combination.words.values())}")
            print(*(f"  {reason}" for reason in result.reasons[:5]), sep="\n")


def main() -> int:
    """Train the requested combinations, and return 0 if all were equal, else 1."""
    parser = argparse.ArgumentParser(description="Trains SB3's PPO and CustomPPO alike, and counts equal outcomes.")
    parser.add_argument("n", type=int, help="how many combinations")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--engine", choices=ENGINES, default="auto", help="fused: the fastest without compiled kernels")
    parser.add_argument("--observations", default="", help="train only the next n combinations of these observations")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.engine == "fused":  # where it is possible; engine="fused" would be refused elsewhere
        os.environ[ENVIRONMENT_VARIABLE] = "off"
    subject = partial(CustomPPO, engine="autograd") if arguments.engine == "autograd" else CustomPPO
    results = []
    wanted = (c for c in map(draw, count(arguments.first)) if arguments.observations in c.words["observations"])
    for combination in islice(wanted, arguments.n):
        results.append(compare(combination, subject))
        print("." if not results[-1].reasons else "x", end="", flush=True)
    _print_table(results)
    return int(any(result.reasons for result in results))


if __name__ == "__main__":
    sys.exit(main())
