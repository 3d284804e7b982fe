"""Check before the first run that every run can start: algorithms, environments, and their arguments."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterable

from harness.errors import HarnessError
from harness.experiment.plan import RunSpec
from harness.printable import message_of
from harness.training.algorithms import load_algorithm
from harness.training.envs import check_environment
from harness.training.envs.vectorized import make_eval_env
from harness.training.models import build_model
from harness.training.provenance import engine_of

__all__ = ["check_runs", "find_problems"]


def find_problems(specs: Iterable[RunSpec]) -> list[str]:
    """Return the problems that would prevent runs from starting, one line each; see `check_runs`."""
    return check_runs(specs)[0]


def check_runs(specs: Iterable[RunSpec]) -> tuple[list[str], list[str]]:
    """Return the problems that would prevent runs from starting, and notes for the user, one line each.

    Every algorithm is built once on each of its environments.
    """
    problems: dict[str, None] = {}  # as an ordered set
    notes: dict[str, None] = {}
    representatives = {(spec.algo, spec.env): spec for spec in specs}
    unusable: set[str] = set()
    for spec in representatives.values():
        for name, check in ((spec.env, check_environment), (spec.algo_class, load_algorithm)):
            try:
                check(name)
            except HarnessError as error:
                problems[str(error)] = None
                unusable.add(name)
    for spec in representatives.values():
        if not unusable & {spec.env, spec.algo_class}:
            problem, note = _try_to_build(spec)
            if problem is not None:
                problems[problem] = None
            if note is not None:
                notes[note] = None
    return list(problems), list(notes)


def _try_to_build(spec: RunSpec) -> tuple[str | None, str | None]:
    """Return the problem that prevents the model from being built, if any, else a note about its engine, if any."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            try:
                env = make_eval_env(spec, spec.seed, n_episodes=spec.hyperparams.get("n_envs", 1))
            except (HarnessError, TypeError):  # a mistake in the experiment, such as wrong env_kwargs
                raise
            except Exception as error:
                # An environment that fails costs its own runs only, and may do better another time.
                cause = f"{type(error).__name__}: {message_of(error)}"
                return None, f"{spec.env} cannot be made ({cause}): its runs are started all the same"
            try:
                return None, engine_of(build_model(spec, env)).get("note")
            finally:
                env.close()
    except HarnessError as error:
        return str(error), None
    except Exception as error:
        # A constructor fails because of its arguments, which are the same for every seed, so the message names none.
        return f"{spec.algo} on {spec.env} cannot be built: {type(error).__name__}: {message_of(error)}", None
