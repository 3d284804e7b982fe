"""Measure whole trainings of both implementations, alternately in one process, and compare their bits after each."""

from __future__ import annotations

import gc
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import torch
from numpy.typing import NDArray

from harness.bench.configurations import OURS, Configuration, run_spec
from harness.bench.floor import bare_env_seconds, product_seconds, recorded_actions, sgemm_gflops, vec_env_seconds
from harness.bench.parts import sampled_seconds, shares
from harness.bench.speeds import PARTS, Floor, Speed
from harness.errors import HarnessError
from harness.experiment.plan import RunSpec
from harness.training.algorithms import load_algorithm
from harness.training.envs import check_environment, make_training_env
from harness.training.models import build_model

__all__ = ["Report", "Specs", "built", "first_difference", "measure_speed", "single_thread", "specs_of", "with_parts"]

ENOUGH_SECONDS, MAX_SAMPLED_RUNS = 1.0, 6
"""Our trainings are sampled until they took so long, or for so many runs."""

N_FLOOR_RUNS = 3
"""Runs of the environments alone, of which the fastest counts."""

Report = Callable[[str], None]
"""Called with a short text when a step of the measurement begins."""


@dataclass(frozen=True)
class Specs:
    """Runs of both implementations in one configuration."""

    ours: RunSpec
    theirs: RunSpec


def specs_of(configuration: Configuration) -> Specs:
    """Return both runs of a configuration; raise HarnessError if its environment or entry is not available."""
    with _silenced():
        check_environment(configuration.env)
    theirs = run_spec(configuration, configuration.algo)
    ours = OURS[configuration.algo]
    return Specs(replace(theirs, algo=ours, algo_class=ours), theirs)


@contextmanager
def single_thread() -> Iterator[None]:
    """Let torch use one thread, and show no warnings of the libraries."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(n_threads)


@contextmanager
def _silenced() -> Iterator[None]:
    """Send what libraries in C print, such as ALE's banner and MuJoCo's warnings, to the null device."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor, _ in kept:
            os.dup2(null, descriptor)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, copy in kept:
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(null)


@contextmanager
def built(spec: RunSpec, engine: str = "auto") -> Iterator[Any]:
    """Yield the model of a run, on new environments, which are closed at the end.

    engine: engine of CustomPPO; "auto" asks for none, so that any algorithm can be built.
    Raises HarnessError if the model does not accept the engine.
    """
    with _silenced():
        env = make_training_env(spec, None)
    try:
        if engine == "auto":
            yield build_model(spec, env)
        elif "engine" in inspect.signature(load_algorithm(spec.algo_class)).parameters:
            yield _with_engine(lambda: build_model(spec, env, engine=engine), engine)
        else:  # CustomA2C of versions that have no such argument
            model = build_model(spec, env)
            model.engine = engine
            model.agent.engine = _with_engine(model.choose_engine, engine)
            yield model
    finally:
        env.close()


def _with_engine(make: Callable[[], Any], engine: str) -> Any:
    try:
        return make()
    except ValueError as error:
        if engine == "auto" or "engine" not in str(error):
            raise
        raise HarnessError(f"engine {engine!r} is not possible here: {' '.join(str(error).split())}") from error


def measure_speed(configuration: Configuration, engine: str, pairs: int, report: Report) -> Iterator[Speed]:
    """Yield the result after each pair; a first pair, of one rollout, warms up and is not counted.

    Raises HarnessError if the configuration cannot be measured here.
    """
    specs = specs_of(configuration)
    speed = Speed(configuration.name, configuration.env, configuration.algo, configuration.n_timesteps)
    for pair in range(pairs + 1):
        report(f"{configuration.name}: {f'pair {pair} of {pairs}' if pair else 'warming up'}")
        n_timesteps = configuration.n_timesteps if pair else 1
        # Alternate the order, so that a drifting processor clock favours neither.
        if pair % 2:
            ours, theirs = _trained(specs.ours, n_timesteps, engine), _trained(specs.theirs, n_timesteps)
        else:
            theirs, ours = _trained(specs.theirs, n_timesteps), _trained(specs.ours, n_timesteps, engine)
        speed = replace(speed, engine=_engine_name(ours.model), unequal=first_difference(ours.model, theirs.model))
        if pair:
            speed = replace(speed, ours=(*speed.ours, ours.seconds), theirs=(*speed.theirs, theirs.seconds))
        if pair or speed.unequal:
            yield speed
        if speed.unequal:  # times of a wrong result mean nothing
            return


def with_parts(configuration: Configuration, engine: str, speed: Speed, report: Report) -> Speed:
    """Return the result with the shares of its parts and the floor; they come from further, separate runs."""
    specs, n_timesteps = specs_of(configuration), configuration.n_timesteps
    parts: dict[str, dict[str, float]] = {}
    report(f"{configuration.name}: parts")
    actions: list[NDArray[Any]] = []
    with built(specs.theirs) as model:
        actions = recorded_actions(model.env)
        with sampled_seconds() as seconds:
            model.learn(n_timesteps)
        parts["theirs"] = shares(seconds)
        report(f"{configuration.name}: matrix products")
        products = product_seconds(model, n_timesteps)
    total = dict.fromkeys(PARTS, 0.0)
    for _ in range(MAX_SAMPLED_RUNS):
        report(f"{configuration.name}: parts")
        with built(specs.ours, engine) as model, sampled_seconds() as seconds:
            model.learn(n_timesteps)
        total = {part: total[part] + seconds[part] for part in PARTS}
        if sum(total.values()) >= ENOUGH_SECONDS:
            break
    parts["ours"] = shares(total)
    report(f"{configuration.name}: environments alone")
    alone: dict[Any, list[float]] = {vec_env_seconds: [], bare_env_seconds: []}
    for _ in range(N_FLOOR_RUNS):
        for measure, found in alone.items():
            with built(specs.theirs) as model:
                found.append(measure(model, actions))
    floor = Floor(min(alone[vec_env_seconds]), min(alone[bare_env_seconds]), *products, sgemm_gflops())
    return replace(speed, parts=parts, floor=floor)


@dataclass(frozen=True)
class _Trained:
    model: Any
    seconds: float


def _trained(spec: RunSpec, n_timesteps: int, engine: str = "auto") -> _Trained:
    """Build a model, which seeds the global generators, and train it; only `learn()` is timed."""
    with built(spec, engine) as model:
        gc.collect()  # garbage of the run before is not collected within this one
        start = perf_counter()
        _with_engine(lambda: model.learn(n_timesteps), engine)  # which may also be refused before the first update
        return _Trained(model, perf_counter() - start)


def _engine_name(model: Any) -> str:
    return str(type(model.agent.engine).__name__).removesuffix("Engine").lower()


def first_difference(ours: Any, theirs: Any) -> str:
    """Return the name of the first weight or state of the optimiser whose bits differ, or "" if all are equal."""
    our_weights, their_weights = ours.policy.state_dict(), theirs.policy.state_dict()
    if our_weights.keys() != their_weights.keys():
        return "names of the weights"
    for name, weight in their_weights.items():
        if not torch.equal(our_weights[name], weight):
            return str(name)
    our_states, their_states = (model.policy.optimizer.state_dict()["state"] for model in (ours, theirs))
    for index, state in their_states.items():
        for name, value in state.items():
            if not torch.equal(torch.as_tensor(our_states[index][name]), torch.as_tensor(value)):
                return f"optimiser, parameter {index}: {name}"
    return "" if ours.num_timesteps == theirs.num_timesteps else "num_timesteps"
