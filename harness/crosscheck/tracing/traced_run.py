"""Trace one run of one implementation, from its initial weights to its last step."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy

from custom_ppo import CustomPPO
from harness.crosscheck.profiles import Case
from harness.crosscheck.tracing.construction import error_in_a_line, make_environments, make_model
from harness.crosscheck.tracing.custom_ppo_probe import probe_custom_ppo, uses_fused_engine
from harness.crosscheck.tracing.env_probe import EnvProbe
from harness.crosscheck.tracing.modes import STANDALONE, TracingMode
from harness.crosscheck.tracing.operation_log import OperationLog
from harness.crosscheck.tracing.optimizer_probe import OptimizerProbe, load_vector
from harness.crosscheck.tracing.parameter_matching import (
    find_optimizers,
    match_parameters,
    named_parameters,
    without_unmatched,
)
from harness.crosscheck.tracing.randomness import random_states, randomness_digest, restore_random_states
from harness.crosscheck.tracing.recorder import Recorder, StopTracing
from harness.crosscheck.tracing.sb3_probe import probe_buffer, probe_policy
from harness.crosscheck.tracing.trace import Trace
from harness.crosscheck.tracing.trace_builder import TraceBuilder
from harness.errors import HarnessError

__all__ = ["trace_run"]

STEPS_WITHOUT_ROLLOUTS = 64
"""Steps for each update of a case without n_steps. Off-policy algorithms of SB3 begin to learn after 100."""


def trace_run(
    algorithm: type[Any],
    case: Case,
    seed: int,
    mode: TracingMode = STANDALONE,
    *,
    name: str = "",
    **arguments: Any,
) -> Trace:
    """Train for the case's number of updates, and return what was recorded.

    name: name of the implementation; by default the name of its class. arguments: further arguments of the constructor.
    The global random generators are restored afterwards. Raises HarnessError if the model cannot be made; an error
    during training is recorded in the trace.
    """
    states = random_states()
    n_steps = int(case.settings.get("n_steps", 0))
    builder = TraceBuilder(name or algorithm.__name__, n_steps=n_steps, n_envs=case.n_envs, shared=mode.aligned_with)
    log = OperationLog() if mode.logs_operations else None
    recorder = Recorder(builder, fed_from=mode.fed_from, operations=log)
    env = make_environments(case, seed)
    try:
        with warnings.catch_warnings(), _silenced():
            warnings.simplefilter("ignore")
            # The environments end the run, since implementations round the total number of steps in different ways.
            last_step = (n_steps or STEPS_WITHOUT_ROLLOUTS) * case.n_updates
            env_probe = EnvProbe(env, recorder, replayable=mode.is_replayable, last_step=last_step)
            model = make_model(algorithm, case, seed, env_probe, name, arguments)
            # A reference may have a default that the case does not state.
            builder.n_steps = n_steps or int(getattr(model, "n_steps", 0))
            optimizer_probe = _attach_probes(model, recorder, mode)
            try:
                error = _train(model, last_step * case.n_envs, recorder, mode.aligned_with)
            finally:
                optimizer_probe.detach()
    finally:
        env.close()
        restore_random_states(states)
    return builder.finish(error)


def _attach_probes(model: Any, recorder: Recorder, mode: TracingMode) -> OptimizerProbe:
    """Attach all probes that fit a model, and record its initial weights."""
    # The order matters: weights are matched by their initial values before anything is copied into them, and recorded
    # before they are fed.
    optimizer_probe = _optimizer_probe(model, recorder, mode.aligned_with)
    if mode.check is not None:
        check = mode.check
        recorder.on_progress = lambda: check(recorder.builder.live(), recorder.step, recorder.n_minibatches)
    if mode.starts_from is not None:
        copy_weights(optimizer_probe, mode.starts_from)
        restore_random_states(mode.starts_from.random_states[0])
    recorder.builder.random_states[0] = random_states()
    if optimizer_probe.parameters:
        recorder.record_step("initial_parameters", optimizer_probe.weights())
    # A fed run records its own initial weights, which may be wrong on their own, and then trains from right ones.
    if mode.fed_from is not None:
        with contextlib.suppress(HarnessError):  # networks of other shapes keep their weights
            copy_weights(optimizer_probe, mode.fed_from)
    if isinstance(model, CustomPPO):
        if uses_fused_engine(model):
            recorder.operations = None  # its operations are not torch's
        probe_custom_ppo(model, recorder, optimizer_probe)
        return optimizer_probe
    # Policy and buffer are independent: many implementations extend one of SB3's and write the other anew.
    if isinstance(getattr(model, "policy", None), ActorCriticPolicy):
        probe_policy(model.policy, recorder)
    if isinstance(getattr(model, "rollout_buffer", None), RolloutBuffer):
        probe_buffer(model.rollout_buffer, recorder)
    optimizer_probe.attach()
    return optimizer_probe


def _optimizer_probe(model: Any, recorder: Recorder, aligned_with: Trace | None) -> OptimizerProbe:
    """Return a probe of the model's weights, in the order of another trace's if there is one."""
    optimizers = find_optimizers(model)
    parameters = named_parameters(model, optimizers)
    if aligned_with is not None and aligned_with.parameters:
        first = aligned_with.get(0, 0, "initial_parameters")
        assert first is not None
        parameters, optimizers = without_unmatched(parameters, optimizers, aligned_with.parameters)
        parameters = match_parameters(parameters, aligned_with.parameters, first)
    return OptimizerProbe(recorder, parameters, optimizers)


def copy_weights(optimizer_probe: OptimizerProbe, other: Trace) -> None:
    """Overwrite a model's weights with another run's initial ones; raise HarnessError if their shapes differ."""
    first = other.get(0, 0, "initial_parameters")
    shapes = tuple((name, tuple(tensor.shape)) for name, tensor in optimizer_probe.parameters)
    sizes = [[math.prod(shape) for _, shape in listed] for listed in (shapes, other.parameters)]
    if first is None or sizes[0] != sizes[1]:
        raise HarnessError(
            f"the weights cannot be copied: their shapes are {_listed(shapes)}, "
            f"the reference's {_listed(other.parameters)}"
        )
    load_vector((tensor for _, tensor in optimizer_probe.parameters), first)


def _listed(shapes: Sequence[tuple[str, tuple[int, ...]]]) -> str:
    return ", ".join("x".join(map(str, shape)) for _, shape in shapes)


def _train(model: Any, total_timesteps: int, recorder: Recorder, aligned_with: Trace | None) -> str | None:
    """Train, and record the end of training; return the error that ended it, in one line."""
    builder = recorder.builder
    try:
        with recorder.operations if recorder.operations is not None else contextlib.nullcontext():
            model.learn(total_timesteps)
    except StopTracing:
        return None
    except (Exception, SystemExit) as error:
        return error_in_a_line(error)
    recorder.collect_operations()
    minibatch = recorder.minibatch
    # Without a known optimiser there are no minibatches to count: training ended where the other run's did.
    if aligned_with is not None and not builder.parameters:
        minibatch = max((number for step, number in aligned_with.moments if step == recorder.step), default=minibatch)
    builder.put(recorder.step, minibatch, "final_randomness", randomness_digest())
    return None


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Discard what an implementation prints and logs, and restore the level of logging."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)
