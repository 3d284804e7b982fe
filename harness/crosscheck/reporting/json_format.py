"""File format of a cross-check: JSON whose keys stay the same when the attributes of the results are renamed."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from harness.crosscheck.explaining.explanation import Explanation
from harness.crosscheck.reporting.findings import Finding
from harness.crosscheck.reporting.results import Crosscheck, RunResult

__all__ = ["as_json"]


def as_json(result: Crosscheck) -> dict[str, Any]:
    """Return the result as JSON data: tuples become lists, and numbers that are not finite become None."""
    data = _crosscheck(result)
    if data["explanation"] is not None:
        # Format 1 has the scores, as lists of numbers, only below `from_same_weights`.
        del data["explanation"]["scores"]
    return {"format": 1, **_plain(data)}


def _crosscheck(result: Crosscheck) -> dict[str, Any]:
    retry = result.from_same_weights
    return {
        "subject": result.subject,
        "reference": result.reference,
        "profile": result.profile,
        "verdict": result.verdict,
        "runs": [_run(run) for run in result.runs],
        "explanation": None if result.explanation is None else _explanation(result.explanation),
        "verified": result.reproduced,
        "seconds": result.seconds,
        "from_same_weights": None if retry is None else _crosscheck(retry),
        "trouble": result.from_same_weights_error,
    }


def _run(run: RunResult) -> dict[str, Any]:
    lines = {"our_line": run.subject_line, "their_line": run.reference_line}
    return {
        "env": run.env,
        "seed": run.seed,
        "verdict": run.verdict,
        "first": _finding(run.first),
        "first_beyond_rounding": _finding(run.first_beyond_rounding),
        **{key: None if line is None else dataclasses.asdict(line) for key, line in lines.items()},
        "faults": [_finding(found) for found in run.faults],
        "largest": run.largest,
        "n_compared": run.n_compared,
        "n_minibatches": run.n_minibatches,
        "optimizers": run.optimizers,
        "notes": run.notes,
        "harmless": run.harmless,
    }


def _finding(found: Finding | None) -> dict[str, Any] | None:
    if found is None:
        return None
    keys = {"subject": "ours", "reference": "theirs"}
    return {keys.get(name, name): value for name, value in dataclasses.asdict(found).items()}


def _explanation(explanation: Explanation) -> dict[str, Any]:
    return {
        "verdict": explanation.verdict,
        "deviations": explanation.deviations,
        "scores": explanation.scores,
        "early": explanation.ruled_out.earlier,
        "touching": explanation.ruled_out.here,
        "silent": explanation.ruled_out.untestable,
        "n_candidates": explanation.n_trials,
        "seconds": explanation.seconds,
        "exhausted": explanation.exhausted,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
