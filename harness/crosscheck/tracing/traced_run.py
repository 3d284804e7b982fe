"""One run of one implementation, watched from its first weights to its last step."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import logging
import math
import os
import sysconfig
import tempfile
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv

from custom_ppo import CustomPPO
from harness.crosscheck.environments import make_world
from harness.crosscheck.profiles import Case
from harness.crosscheck.tracing.custom_ppo_probe import is_fused, watch_custom
from harness.crosscheck.tracing.env_probe import RecordedEnv
from harness.crosscheck.tracing.operation_log import OperationLog
from harness.crosscheck.tracing.optimizer_probe import Descent
from harness.crosscheck.tracing.parameter_matching import (
    find_optimizers,
    matched_parameters,
    named_parameters,
    without_bystanders,
)
from harness.crosscheck.tracing.recorder import (
    EnoughSeen,
    Recorder,
    random_states,
    randomness_digest,
    restore_random_states,
)
from harness.crosscheck.tracing.sb3_probe import watch_buffer, watch_policy
from harness.crosscheck.tracing.trace import Trace
from harness.errors import HarnessError
from harness.training.envs import make_training_env

__all__ = ["Watching", "accepted_settings", "record"]


STEPS_WITHOUT_ROLLOUTS = 64
"""Steps for each update of a case where the reference takes no n_steps. Off-policy ones begin to learn after 100."""


_OF_OTHERS = (*sysconfig.get_paths().values(), str(Path(__file__).parents[2]))
"""Folders of code that the author of a subject did not write: Python's, and this package."""


@dataclass(frozen=True)
class Watching:
    """How a run is watched.

    like: a trace of the same case, whose order of weights is followed, and whose first weights may be copied.
    copy_weights: start from the first weights of `like`, and from its state of the random generators.
    feed: `like` replaces everything that is seen by its own numbers.
    operations: log the tensor operations of updates.
    keep: remember what is needed to feed others.
    check: called after every step of acting and learning; it may raise EnoughSeen.
    """

    like: Trace | None = None
    copy_weights: bool = False
    feed: bool = False
    operations: bool = True
    keep: bool = False
    check: Callable[[Trace, int, int], None] | None = None


def accepted_settings(algorithm: type[Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that its constructor takes."""
    parameters = inspect.signature(algorithm).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return dict(settings)
    return {name: value for name, value in settings.items() if name in parameters}


def record(
    algorithm: type[Any], case: Case, seed: int, watching: Watching = Watching(), *, name: str = "", **more: Any
) -> Trace:
    """Train for the case's number of updates; the global random state is left as it was.

    more: further arguments of the constructor. Raises HarnessError when the model cannot be made; what goes wrong
    later is in the trace.
    """
    states = random_states()
    trace = Trace(name or algorithm.__name__, n_envs=case.n_envs, n_steps=int(case.settings.get("n_steps", 0)))
    trace.like = watching.like
    log = OperationLog() if watching.operations else None
    recorder = Recorder(trace, feed=watching.like if watching.feed else None, operations=log)
    env = _environments(case, seed)
    try:
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")
            last_step = (trace.n_steps or STEPS_WITHOUT_ROLLOUTS) * case.n_updates
            recorded = RecordedEnv(env, recorder, keep=watching.keep, last_step=last_step)
            model = _made(algorithm, case, seed, recorded, name, more)
            trace.n_steps = trace.n_steps or int(getattr(model, "n_steps", 0))
            descent = _watch(model, recorder, watching)
            try:
                _train(model, last_step * case.n_envs, recorder, log, watching.like)
            finally:
                descent.unwatch()
    finally:
        env.close()
        restore_random_states(states)
    return trace


def _environments(case: Case, seed: int) -> VecEnv:
    if case.spec is None:
        return make_vec_env(lambda: make_world(case.env), n_envs=case.n_envs, seed=seed)
    with tempfile.TemporaryDirectory() as folder:  # episodes are logged to files that nobody reads
        return make_training_env(dataclasses.replace(case.spec, seed=seed), Path(folder))


def _made(algorithm: type[Any], case: Case, seed: int, env: RecordedEnv, name: str, more: Mapping[str, Any]) -> Any:
    settings = accepted_settings(algorithm, {**case.settings, "seed": seed, "device": "cpu", **more})
    policy = _policy(algorithm, case.policy, env)
    try:
        return algorithm(policy, env, **settings)
    except HarnessError:
        raise
    except (Exception, SystemExit) as error:
        called = name or algorithm.__name__
        hint = "--env chooses others" if _takes(algorithm, settings) else "it has to take policy, env, and settings"
        said = f"{_in_a_line(error)}{_its_line(error)} ({hint})"
        raise HarnessError(f"{called} cannot be made for {case.env}: {said}") from error


def _takes(algorithm: type[Any], settings: Mapping[str, Any]) -> bool:
    """Whether the constructor can be called like that of SB3's algorithms."""
    try:
        inspect.signature(algorithm).bind("policy", "env", **settings)
    except TypeError:
        return False
    return True


def _policy(algorithm: type[Any], policy: Any, env: VecEnv) -> Any:
    """The policy of the case; where that is only the usual one, its kin that fits observations and algorithm."""
    if policy != "MlpPolicy":
        return policy
    kind = "MultiInput" if isinstance(env.observation_space, spaces.Dict) else "Mlp"
    recurrent = f"{kind}LstmPolicy"
    return recurrent if recurrent in getattr(algorithm, "policy_aliases", ()) else f"{kind}Policy"


def _watch(model: Any, recorder: Recorder, watching: Watching) -> Descent:
    trace, like = recorder.trace, watching.like
    optimizers = find_optimizers(model)
    own = named_parameters(model, optimizers)
    if like is not None and like.parameters:
        first = like.get(0, 0, "initial_parameters")
        assert first is not None
        own, optimizers = without_bystanders(own, optimizers, like.parameters)
        own = matched_parameters(own, like.parameters, first)
    descent = Descent(recorder, own, optimizers)
    if watching.check is not None:
        check = watching.check
        recorder.on_progress = lambda: check(trace, recorder.step, recorder.n_minibatches)
    if like is not None and watching.copy_weights:
        copy_weights(descent, like)
        restore_random_states(like.randomness[0])
    trace.randomness[0] = random_states()
    if own:
        recorder.saw("initial_parameters", descent.weights())
    if like is not None and watching.feed:
        with contextlib.suppress(HarnessError):  # networks of other shapes keep their weights
            copy_weights(descent, like)
    if isinstance(model, CustomPPO):
        if is_fused(model):
            recorder.operations = None
        watch_custom(model, recorder, descent)
        return descent
    if isinstance(getattr(model, "policy", None), ActorCriticPolicy):
        watch_policy(model.policy, recorder)
    if isinstance(getattr(model, "rollout_buffer", None), RolloutBuffer):
        watch_buffer(model.rollout_buffer, recorder)
    descent.watch()
    return descent


def copy_weights(descent: Descent, like: Trace) -> None:
    """Start from the other's first weights; raises HarnessError when the networks have other shapes."""
    first = like.get(0, 0, "initial_parameters")
    shapes = tuple((name, tuple(tensor.shape)) for name, tensor in descent.parameters)
    sizes = [[math.prod(shape) for _, shape in listed] for listed in (shapes, like.parameters)]
    if first is None or sizes[0] != sizes[1]:
        raise HarnessError(
            f"the weights cannot be copied: {_listed(shapes)}, but the reference has {_listed(like.parameters)}"
        )
    start = 0
    with torch.no_grad():
        for _, tensor in descent.parameters:
            part = first[start : start + tensor.numel()]
            tensor.copy_(torch.from_numpy(part.reshape(tuple(tensor.shape))))
            start += tensor.numel()


def _listed(shapes: Sequence[tuple[str, tuple[int, ...]]]) -> str:
    return ", ".join("x".join(map(str, shape)) for _, shape in shapes)


def _train(model: Any, total: int, recorder: Recorder, log: OperationLog | None, like: Trace | None) -> None:
    trace = recorder.trace
    try:
        with log if log is not None and recorder.operations is not None else contextlib.nullcontext():
            model.learn(total)
    except EnoughSeen:
        return
    except (Exception, SystemExit) as error:
        trace.error = _in_a_line(error) + _its_line(error)
        return
    recorder.take_operations()
    minibatch = recorder.minibatch
    if like is not None and not trace.parameters:  # whose minibatches nobody could count
        minibatch = max((number for step, number in like.moments if step == recorder.step), default=minibatch)
    trace.put(recorder.step, minibatch, "final_randomness", randomness_digest())


def _in_a_line(error: BaseException) -> str:
    """Such as "ValueError: the first line of what it says"."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


def _its_line(error: BaseException) -> str:
    """Such as ", at my_ppo.py:12": the innermost line that no installed package and no part of this one wrote."""
    found = [
        f", at {os.path.basename(frame.filename)}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*_OF_OTHERS, "<"))
    ]
    return found[-1] if found else ""


@contextlib.contextmanager
def _quiet() -> Any:
    """What implementations print is of no interest here."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)
