"""Describe in a few lines what an experiment runs and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.config import AlgorithmConfig, ExperimentConfig
from harness.experiment.plan import RunSpec, plan
from harness.training.findings import Speed

__all__ = ["overview"]

MAX_NAMES = 6
"""Largest number of algorithms or environments that are listed by name."""


def overview(config: ExperimentConfig, speeds: Mapping[tuple[str, str], Speed], n_workers: int) -> str:
    """Return the resolved experiment in a few lines, with an estimate of its time if speeds were measured.

    speeds: (algorithm class, environment id) -> speed, see `validation.Validation`.
    """
    specs = plan(config)
    evaluation = config.evaluation
    rows = {
        "algorithms": _algorithms(config.algorithms),
        "environments": _listed([f"{env.env} ({env.n_timesteps:,} steps)" for env in config.environments]),
        "seeds": f"{_seeds(config.seeds)} ({len(config.seeds)})",
        "evaluation": f"{evaluation.n_evaluations} times {evaluation.n_eval_episodes} episodes during training, "
        f"{evaluation.n_final_episodes} at its end",
        "cost": _cost(specs, speeds, n_workers),
    }
    lines = [f"{config.path}: OK ({len(specs):,} run{'s' if len(specs) > 1 else ''})"]
    return "\n".join(lines + [f"  {name:<12}  {text}" for name, text in rows.items()])


def _algorithms(algorithms: Sequence[AlgorithmConfig]) -> str:
    """Return the single algorithms by name, and those of a sweep by the levels of its factors."""
    studies: dict[tuple[str, ...], list[AlgorithmConfig]] = {}
    for algorithm in algorithms:
        studies.setdefault(tuple(algorithm.factors), []).append(algorithm)
    parts = [_listed([_described(algorithm) for algorithm in studies.pop((), [])])]
    for factors, points in studies.items():
        levels = (dict.fromkeys(str(point.factors[factor]) for point in points) for factor in factors)
        spans = (f"{factor} ({_listed(list(names))})" for factor, names in zip(factors, levels, strict=True))
        parts.append(f"{len(points):,} with {' x '.join(spans)}")
    return "; ".join(filter(None, parts))


def _described(algorithm: AlgorithmConfig) -> str:
    return algorithm.label if algorithm.label == algorithm.algo_class else f"{algorithm.label} ({algorithm.algo_class})"


def _listed(names: Sequence[str]) -> str:
    """Return the names, or the first few and the number of the others."""
    more = len(names) - MAX_NAMES
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:MAX_NAMES])} and {more:,} more"


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}-{seeds[-1]}"
    return _listed([str(seed) for seed in seeds])


def _cost(specs: Sequence[RunSpec], speeds: Mapping[tuple[str, str], Speed], n_workers: int) -> str:
    n_steps = sum(spec.n_timesteps for spec in specs)
    cost = f"{len(specs):,} run{'s' if len(specs) > 1 else ''}, {n_steps:,} steps"
    known = {(spec.algo_class, spec.env) for spec in specs} <= speeds.keys()
    if not known or not speeds:
        return cost
    seconds = sum(_seconds(spec, speeds[spec.algo_class, spec.env]) for spec in specs) / min(n_workers, len(specs))
    fps = sorted(speed.training for speed in speeds.values())
    span = " to ".join(dict.fromkeys([f"{fps[0]:,.0f}", f"{fps[-1]:,.0f}"]))
    workers = f"{n_workers} worker{'s' if n_workers > 1 else ''}"
    return f"{cost}, about {_duration(seconds)} on {workers} (training was measured at {span} steps per second)"


def _seconds(spec: RunSpec, speed: Speed) -> float:
    """Return the estimated seconds of a run, whose evaluations have episodes of full length."""
    n_episodes = spec.n_timesteps // max(spec.eval_freq, 1) * spec.n_eval_episodes + spec.n_final_episodes
    return spec.n_timesteps / speed.training + n_episodes * speed.episode_length / speed.evaluation


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
