"""Build vector environments from a RunSpec, wrapped in rl_zoo3's order: wrappers, VecNormalize, frame stack."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.error import DependencyNotInstalled, NameNotFound, NamespaceNotFound, UnregisteredEnv
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecFrameStack, VecTransposeImage

from harness.config.hyperparams import parse_kwargs, parse_normalize, parse_wrappers
from harness.errors import UnknownNameError, did_you_mean
from harness.experiment.plan import RunSpec
from harness.training.algorithms import import_class, import_module
from harness.training.envs.checked import checked_maker
from harness.training.envs.classes import SB3_CLASSES, VecEnvClasses
from harness.training.envs.collisions import spare_collisions

__all__ = ["check_environment", "make_eval_env", "make_training_env", "registered_id"]

N_EVAL_ENVS = 10
"""Number of evaluation episodes that run in parallel, so that each forward pass of the policy serves all of them."""


def check_environment(env_id: str) -> None:
    """Raise UnknownNameError unless the environment is registered and its packages are installed.

    env_id: "Name-v0", or "package.module:Name-v0" for an environment that the module registers on import.
    """
    try:
        spec = gymnasium.spec(registered_id(env_id))
    except (NameNotFound, NamespaceNotFound, UnregisteredEnv) as error:
        hint = did_you_mean(env_id, gymnasium.registry)
        raise UnknownNameError(f"environment {env_id!r} is not registered with gymnasium{hint}") from error
    except gymnasium.error.Error as error:
        raise UnknownNameError(f"environment {env_id!r} cannot be used: {_one_line(error)}") from error
    try:
        gymnasium.make(spec).close()
    except (DependencyNotInstalled, ImportError) as error:
        raise UnknownNameError(
            f"environment {env_id!r} needs a package that is not installed ({_one_line(error)}); "
            "the extras [envs] and [atari] of this project install the usual ones"
        ) from error
    except Exception:
        return  # other errors may come from missing arguments, which are not given here


def registered_id(env_id: str) -> str:
    """Import the module that registers the environment, and return its id in gymnasium's registry.

    The module is the prefix of the id, or is found from the id for environments of this project's extras.
    """
    module, _, name = env_id.rpartition(":")
    if module:
        import_module(module, wanted=env_id)
    elif name not in gymnasium.registry and fnmatchcase(name, _WITHOUT_VELOCITY):
        import_module("rl_zoo3.import_envs", wanted=env_id)
    elif name not in gymnasium.registry:
        extra = next((extra for pattern, extra in _EXTRAS.items() if fnmatchcase(name, pattern)), None)
        if extra is not None:
            _import_extra(env_id, *extra)
    return name


_WITHOUT_VELOCITY = "*NoVel-v?"
"""Pattern of ids that rl_zoo3 registers for environments whose velocities are hidden, for policies with memory."""

_EXTRAS = {
    "ALE/*": ("ale_py", "atari"),
    "*NoFrameskip-v?": ("ale_py", "atari"),
    "MiniGrid-*": ("minigrid", "minigrid"),
    "BabyAI-*": ("minigrid", "minigrid"),
    "*BulletEnv-v?": ("pybullet_envs_gymnasium", "pybullet"),
}
"""Pattern of ids -> (module that registers them, extra that installs it), as rl_zoo3 writes these ids without a module.
"""


def _import_extra(env_id: str, module: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise UnknownNameError(
            f"environment {env_id!r} needs {module}, which is not installed; "
            f"the extra [{extra}] of this project installs it"
        )
    import_module(module, wanted=env_id)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def make_training_env(spec: RunSpec, run_path: Path | None, *, classes: VecEnvClasses = SB3_CLASSES) -> VecEnv:
    """Build the training environments of a run; every episode is written to `run_path/N.monitor.csv`.

    run_path: None writes no files.
    classes: classes of the vector environment; all of them have the same results.
    """
    n_envs = spec.hyperparams.get("n_envs", 1)
    return _make(spec, classes, n_envs=n_envs, seed=spec.seed, monitor_dir=run_path, training=True)


def make_eval_env(spec: RunSpec, seed: int, n_episodes: int, *, classes: VecEnvClasses = SB3_CLASSES) -> VecEnv:
    """Build environments for an evaluation: rewards unchanged; observations normalised, statistics not updated.

    classes: classes of the vector environment; all of them have the same results.
    """
    env = _make(spec, classes, n_envs=min(n_episodes, N_EVAL_ENVS), seed=seed, monitor_dir=None, training=False)
    # SB3's algorithms wrap training environments in the same way; its EvalCallback warns if the two differ.
    return VecTransposeImage(env) if _has_channels_last(env.observation_space) else env


def _has_channels_last(space: gymnasium.Space[Any]) -> bool:
    parts = space.spaces.values() if isinstance(space, gymnasium.spaces.Dict) else (space,)
    return any(is_image_space(part) and not is_image_space_channels_first(part) for part in parts)  # type: ignore[arg-type]


def _make(
    spec: RunSpec, classes: VecEnvClasses, *, n_envs: int, seed: int, monitor_dir: Path | None, training: bool
) -> VecEnv:
    hyperparams = spec.hyperparams
    env_id = registered_id(spec.env)
    use = "training" if training else "evaluation"
    env: VecEnv = make_vec_env(
        checked_maker(lambda **kwargs: _make_member(env_id, kwargs), use),
        n_envs=n_envs,
        seed=seed,
        monitor_dir=None if monitor_dir is None else str(monitor_dir),
        wrapper_class=_wrapper(hyperparams.get("env_wrapper"), gymnasium.Wrapper),
        vec_env_cls=classes.stepping,
        env_kwargs=parse_kwargs(hyperparams.get("env_kwargs")),
        monitor_kwargs=parse_kwargs(hyperparams.get("monitor_kwargs")),
    )
    if classes is not SB3_CLASSES:
        for member in env.envs:  # type: ignore[attr-defined]
            spare_collisions(member)
    vec_wrapper = _wrapper(hyperparams.get("vec_env_wrapper"), VecEnvWrapper)
    if vec_wrapper is not None:
        env = vec_wrapper(env)
    normalize = parse_normalize(hyperparams.get("normalize"))
    if normalize is not None:
        if "gamma" in hyperparams:  # as rl_zoo3: the return that scales rewards has the algorithm's discount
            normalize = {**normalize, "gamma": hyperparams["gamma"]}
        if not training:
            normalize = {**normalize, "norm_reward": False, "training": False}
        env = classes.normalising(env, **normalize)  # type: ignore[arg-type]
    if hyperparams.get("frame_stack") is not None:
        env = VecFrameStack(env, hyperparams["frame_stack"])
    return env


def _make_member(env_id: str, kwargs: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    """Return an environment as SB3's make_vec_env makes it from an id."""
    try:
        return gymnasium.make(env_id, **{"render_mode": "rgb_array", **kwargs})
    except TypeError:
        return gymnasium.make(env_id, **kwargs)


def _wrapper(value: object, kind: type[Any]) -> Callable[[Any], Any] | None:
    """Return a function that applies all wrappers of a zoo entry in order, or None if there are none.

    kind: class of which every wrapper must be a subclass; UnknownNameError is raised for anything else.
    """
    wrappers = [(import_class(name, kind, "wrapper"), kwargs) for name, kwargs in parse_wrappers(value)]
    if not wrappers:
        return None

    def wrap(env: Any) -> Any:
        for wrapper, kwargs in wrappers:
            env = wrapper(env, **kwargs)
        return env

    return wrap
