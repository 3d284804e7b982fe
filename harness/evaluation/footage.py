"""Draw one episode of a stored agent as images. Runs in a worker process, which writes them into a file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from harness.config.hyperparams import parse_kwargs
from harness.errors import HarnessError, RecordError
from harness.evaluation.agents import StoredAgent
from harness.evaluation.episodes import check_spaces, evaluated_spec, open_agent
from harness.evaluation.settings import EvaluationSettings, Footage
from harness.experiment.plan import RunSpec
from harness.training.action_masks import mask_argument
from harness.training.envs import lean_classes, make_eval_env
from harness.training.lean_predictions import lean_predictions
from harness.training.train import FINAL_EVAL_SEED, SEEDS_PER_RUN

__all__ = ["record_episode"]

DEFAULT_FPS = 30.0


def record_episode(
    run_path: Path, settings: EvaluationSettings, file: Path, width: int, fps: float, seconds: float
) -> Footage:
    """Play the first episode of a run's evaluation, and write its images [T, H, W, 3] of bytes into an npy file.

    width: of the images, in pixels; the height follows.
    fps: largest number of images per second of the environment's own time; others are left out.
    seconds: longest time, in the environment's own time, after which the episode is cut.
    Raises RecordError if the run has no agent, or its environment cannot draw images.
    """
    # Before any window library is loaded: images need no screen.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        os.environ.setdefault("MUJOCO_GL", "egl")
    agent = open_agent(run_path, settings)
    spec = evaluated_spec(agent.spec, settings.env)
    seed = FINAL_EVAL_SEED + SEEDS_PER_RUN * (agent.spec.seed if settings.seeds is None else settings.seeds[0])
    env = _drawing_env(spec, seed)
    try:
        check_spaces(agent, env, spec.env)
        agent.normalise_as_in_training(env)
        if not settings.deterministic:
            set_random_seed(seed)
            agent.model.action_space.seed(seed)
        return _play(agent, env, spec, settings, file, width, fps, seconds)
    finally:
        env.close()


def _drawing_env(spec: RunSpec, seed: int) -> VecEnv:
    """Return one environment that draws images; raise RecordError if it cannot."""
    kwargs = {**parse_kwargs(spec.hyperparams.get("env_kwargs")), "render_mode": "rgb_array"}
    plain = make_eval_env(spec, seed, 1, classes=lean_classes())
    modes = plain.get_attr("metadata")[0].get("render_modes", [])
    plain.close()
    if "rgb_array" not in modes:
        offered = ", ".join(map(str, modes)) or "nothing"
        raise RecordError(f"{spec.env} cannot be filmed: it has no render mode rgb_array (it offers {offered})")
    try:
        return make_eval_env(
            replace(spec, hyperparams={**spec.hyperparams, "env_kwargs": kwargs}), seed, 1, classes=lean_classes()
        )
    except HarnessError:
        raise
    except Exception as error:  # any class of the environment can raise
        raise _cannot_draw(spec.env, error) from error


def _play(
    agent: StoredAgent,
    env: VecEnv,
    spec: RunSpec,
    settings: EvaluationSettings,
    file: Path,
    width: int,
    fps: float,
    seconds: float,
) -> Footage:
    own_fps = float(env.get_attr("metadata")[0].get("render_fps") or DEFAULT_FPS)
    every = max(1, round(own_fps / fps))
    longest = max(1, round(seconds * own_fps))
    images: list[NDArray[np.uint8]] = []
    returns: list[float] = []
    observations: Any = env.reset()
    state, starts, total, is_over, n_steps = None, np.ones(1, dtype=bool), 0.0, False, 0
    with lean_predictions(agent.model):
        while not is_over and n_steps < longest:
            if n_steps % every == 0:
                images.append(_image(env, spec.env, width))
                returns.append(total)
            actions, state = agent.model.predict(
                observations,
                state=state,
                episode_start=starts,
                deterministic=settings.deterministic,
                **mask_argument(agent.model, env),
            )
            observations, rewards, starts, infos = env.step(actions)
            n_steps += 1
            total += float(rewards[0])
            # A wrapper may call the loss of a life the end; Monitor adds this key at the real one.
            is_over = "episode" in infos[0]
            total = float(infos[0]["episode"]["r"]) if is_over else total
    np.save(file, np.stack(images))
    return Footage(str(file), own_fps / every, every, tuple(returns), total, n_steps, is_cut=not is_over)


def _image(env: VecEnv, name: str, width: int) -> NDArray[np.uint8]:
    try:
        drawn = env.get_images()[0]
    except Exception as error:  # any class of the environment can raise
        raise _cannot_draw(name, error) from error
    if not isinstance(drawn, np.ndarray) or drawn.ndim != 3 or drawn.shape[2] != 3 or drawn.dtype != np.uint8:
        raise RecordError(
            f"{name} cannot be filmed: render() returned {type(drawn).__name__}, expected bytes [H, W, 3]"
        )
    height = max(2, round(drawn.shape[0] * width / drawn.shape[1]))
    return np.asarray(Image.fromarray(drawn).resize((width, height), Image.Resampling.LANCZOS))


def _cannot_draw(name: str, error: Exception) -> RecordError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, gymnasium.error.DependencyNotInstalled | ModuleNotFoundError):
        return RecordError(
            f"{name} cannot be filmed: {reason}; the extra [envs] of this project installs what draws it"
        )
    hint = ""
    if any(word in reason.lower() for word in ("display", "glfw", "opengl", "egl", "x11")):
        hint = "; without a screen, MuJoCo draws with MUJOCO_GL=egl or MUJOCO_GL=osmesa in the environment"
    return RecordError(f"{name} cannot be filmed: {type(error).__name__}: {reason}{hint}")
