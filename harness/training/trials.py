"""Try an experiment out before its first run: every environment, every algorithm, and each of these in each of those.

Everything is called in processes of their own with a time limit, so that code that hangs or exits is one more finding.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from harness.config.entries import accepted_keys
from harness.errors import HarnessError
from harness.experiment.plan import RunSpec
from harness.training.action_masks import METHOD, has_masks, needs_masks, sampled_action
from harness.training.algorithms import load_algorithm
from harness.training.callback_trial import try_callbacks
from harness.training.environment_trial import try_environment
from harness.training.envs.vectorized import make_eval_env
from harness.training.findings import Finding, Speed, Trials
from harness.training.isolation import Outcome, call_isolated
from harness.training.models import build_model
from harness.training.provenance import engine_of
from harness.training.speed_trial import measure_speed

__all__ = ["SECONDS", "try_out"]

SECONDS = 30.0
"""Time limit of one call of an environment's or an algorithm's code."""


def try_out(
    environments: Sequence[tuple[str, Any]],
    algorithms: Sequence[tuple[str, str]],
    specs: Sequence[RunSpec],
    measure: bool = False,
    logging: Sequence[str] = (),
    seconds: float = SECONDS,
) -> Trials:
    """Return what is wrong with an experiment, what is unusual, and how fast it trains.

    environments: (id, arguments) of each; algorithms: (label, class) of each class; specs: one run for each pair of
    them that can be built; measure: train each pair of an algorithm's class and an environment for a second or two;
    logging: further logs of every run, which callbacks may need.
    """
    findings: list[Finding] = []
    for env_id, env_kwargs in environments:
        findings += _try_environment(env_id, env_kwargs, seconds)
    for label, algo_class in algorithms:
        findings += _try_algorithm(label, algo_class, seconds)
    bad_envs = {finding.env for finding in findings if finding.is_problem}
    bad_labels = {finding.label for finding in findings if finding.is_problem}
    bad_classes = {algo_class for label, algo_class in algorithms if label in bad_labels}
    buildable = _representatives(
        spec for spec in specs if spec.env not in bad_envs and spec.algo_class not in bad_classes
    )
    for env_id in dict.fromkeys(spec.env for spec in buildable):
        findings += _try_to_build([spec for spec in buildable if spec.env == env_id], seconds, logging)
    unusable = {(finding.label, finding.env) for finding in findings if finding.is_problem}
    speeds = {}
    if measure:
        usable = [spec for spec in buildable if (spec.algo, spec.env) not in unusable]
        for spec in {(spec.algo_class, spec.env): spec for spec in usable}.values():
            outcome = call_isolated(lambda spec=spec: asdict(measure_speed(spec)), 2 * seconds)  # type: ignore[misc]
            if outcome.trouble is None:
                speeds[spec.algo_class, spec.env] = Speed(**outcome.result)
            else:
                message = f"{spec.algo_class} in {spec.env} {outcome.trouble} while its speed is measured"
                findings.append(Finding(message, spec.env, spec.algo, may_be_chance=True))
    return Trials(tuple(dict.fromkeys(findings)), speeds)


def _representatives(specs: Iterable[RunSpec]) -> list[RunSpec]:
    """Return one of the runs that differ only in numbers, if the rules of the file have checked these already."""
    chosen: dict[str, RunSpec] = {}
    for spec in specs:
        is_checked = accepted_keys(spec.algo_class) is not None
        varied = {
            key: "a number" if is_checked and isinstance(value, int | float) and not isinstance(value, bool) else value
            for key, value in spec.hyperparams.items()
        }
        chosen.setdefault(json.dumps([spec.algo_class, spec.env, varied], sort_keys=True), spec)
    return list(chosen.values())


def _try_environment(env_id: str, env_kwargs: Any, seconds: float) -> list[Finding]:
    def call() -> list[dict[str, Any]]:
        try:
            return [asdict(finding) for finding in try_environment(env_id, env_kwargs)]
        except HarnessError as error:
            return [asdict(Finding(str(error), env_id))]

    outcome = call_isolated(call, seconds)
    if outcome.trouble is not None:
        return [Finding(f"{env_id} {outcome.trouble} when it is tried out", env_id, may_be_chance=True)]
    return [Finding(**finding) for finding in outcome.result]


def _try_algorithm(label: str, algo_class: str, seconds: float) -> list[Finding]:
    def call() -> str | None:
        try:
            load_algorithm(algo_class)
        except HarnessError as error:
            return str(error)
        return None

    outcome = call_isolated(call, seconds)
    message = outcome.result if outcome.trouble is None else f"{algo_class} {outcome.trouble} when it is imported"
    return [] if message is None else [Finding(message, label=label)]


def _try_to_build(specs: Sequence[RunSpec], seconds: float, logging: Sequence[str]) -> list[Finding]:
    """Return findings of building the models of one environment: all in one process, or else each in its own."""
    outcome = _built(specs, seconds + len(specs), logging)
    if outcome.trouble is None:
        return [Finding(**finding) for finding in outcome.result]
    if len(specs) == 1:
        (spec,) = specs
        message = f"{spec.algo} in {spec.env} {outcome.trouble} when it is built"
        return [Finding(message, spec.env, spec.algo, may_be_chance=True)]
    return [finding for spec in specs for finding in _try_to_build([spec], seconds, logging)]


def _built(specs: Sequence[RunSpec], seconds: float, logging: Sequence[str]) -> Outcome:
    return call_isolated(lambda: [asdict(finding) for spec in specs for finding in _build(spec, logging)], seconds)


def _build(spec: RunSpec, logging: Sequence[str]) -> list[Finding]:
    """Build the environments, the model and the callbacks of a run, and make one step in the environments."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            env = make_eval_env(spec, spec.seed, n_episodes=spec.hyperparams.get("n_envs", 1))
            try:
                if needs_masks(load_algorithm(spec.algo_class)) and not has_masks(env):
                    return [Finding(_without_masks(spec), spec.env, spec.algo)]
                model = build_model(spec, env)
                note = engine_of(model).get("note")
                env.reset()
                masks = env.env_method(METHOD) if has_masks(env) else [None] * env.num_envs
                env.step([sampled_action(env.action_space, mask) for mask in masks])  # type: ignore[arg-type]
                found = list(try_callbacks(spec, model, logging))
            finally:
                env.close()
    except HarnessError as error:
        return [Finding(_without_label(str(error), spec), spec.env, spec.algo, _cause(str(error), spec))]
    except Exception as error:
        message = " ".join(str(error).split())
        return [Finding(_in_words(error, message, spec), spec.env, spec.algo, _cause(message, spec))]
    return found if note is None else [*found, Finding(note, is_problem=False)]


def _without_masks(spec: RunSpec) -> str:
    return (
        f"{spec.algo_class} cannot act in {spec.env}: it needs a method {METHOD}() that returns true for each valid "
        "action, of the environment or of a wrapper named by env_wrapper"
    )


def _without_label(message: str, spec: RunSpec) -> str:
    return message.removeprefix(f"{spec.algo} on {spec.env}: ")


def _in_words(error: Exception, message: str, spec: RunSpec) -> str:
    """Return the message about a model that cannot be built, without the label: many may share it."""
    unsupported = re.fullmatch(
        r"The algorithm only supports \(?(.*?)\)? as action spaces but (.*) was provided", message
    )
    if unsupported is not None:
        supported = " or ".join(re.findall(r"\.(\w+)'", unsupported[1]))
        return f"{spec.algo_class} cannot act in {spec.env}: it supports {supported} actions, not {unsupported[2]}"
    return f"{spec.algo_class} cannot be built in {spec.env}: {type(error).__name__}: {message}"


def _cause(message: str, spec: RunSpec) -> str | None:
    """Return the hyperparameter that a message names, if it names one."""
    keys = sorted(spec.hyperparams, key=len, reverse=True)
    found = next((key for key in keys if re.search(rf"(?<![A-Za-z_.]){re.escape(key)}(?![A-Za-z_])", message)), None)
    return found or ("policy" if "Policy" in message and "policy" in spec.hyperparams else None)
