"""Results of the benchmark, and their statistics: ratios of pairs, and their geometric mean. No torch is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

__all__ = ["PARTS", "Floor", "GeometricMean", "Speed", "geometric_mean"]

PARTS: Mapping[str, str] = {
    "environment": "steps and resets of the environments, with vector environment, Monitor and VecNormalize",
    "policy": "actions, values and log-probabilities, and gSDE's noise",
    "rollout": "rest of the rollout: memory, callbacks, bootstrap at time limits",
    "gae": "advantages and returns",
    "update": "minibatches, losses, gradients, optimiser",
    "other": "logger, schedules, first reset",
}
"""Part of `learn()` -> description."""

N_RESAMPLES = 4000
"""Bootstrap samples of the interval of the geometric mean."""


@dataclass(frozen=True)
class Floor:
    """Seconds that no implementation on the same environments and matrix products can save."""

    vec_env: float
    """Environment steps of the training alone, in SB3's vector environment with its wrappers."""

    bare_env: float
    """Environment steps of the training alone, without a vector environment."""

    acting: float
    """Matrix products and convolutions of acting."""

    updating: float
    """Matrix products and convolutions of updating."""

    sgemm_gflops: float
    """Speed of a large matrix product, 10^9 floating point operations per second."""

    @property
    def seconds(self) -> float:
        """Sum of the environment steps without a vector environment and of the products."""
        return self.bare_env + self.acting + self.updating


@dataclass(frozen=True)
class Speed:
    """Times of both implementations in one configuration, one of each per pair; or the reason why there are none."""

    name: str
    env: str
    algo: str
    n_timesteps: int
    engine: str = ""
    """Engine that was used: "autograd", "fused" or "native"."""

    ours: tuple[float, ...] = ()
    """Seconds of our `learn()`, one for each pair."""

    theirs: tuple[float, ...] = ()
    """Seconds of SB3's `learn()`, one for each pair."""

    unequal: str = ""
    """First name of a weight or state of the optimiser that differs after training, or "" if all are bit-equal."""

    problem: str = ""
    """Reason why the configuration was not measured, in one line."""

    parts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Implementation ("ours", "theirs") -> part of `learn()` -> share, from 0 to 1."""

    floor: Floor | None = None

    @property
    def ratios(self) -> tuple[float, ...]:
        """Seconds of SB3 divided by ours, for each pair."""
        return tuple(theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True))

    @property
    def ratio(self) -> float:
        """Median of the ratios of the pairs; NaN if there are none."""
        return float(np.median(self.ratios)) if self.ratios else float("nan")

    @property
    def ratio_of_medians(self) -> float:
        """Median of SB3's seconds divided by the median of ours; NaN if there are none."""
        return float(np.median(self.theirs) / np.median(self.ours)) if self.ours else float("nan")

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile of the ratios."""
        low, high = np.quantile(self.ratios, (0.25, 0.75))
        return float(low), float(high)

    @property
    def greatest_ratio(self) -> float:
        """Ratio that an implementation at the floor would have; NaN if the floor was not measured.

        From SB3's fastest run, as the floor is from the fastest runs too: other programs would make it look higher.
        """
        return min(self.theirs) / self.floor.seconds if self.floor and self.theirs else float("nan")

    def as_dict(self) -> dict[str, Any]:
        """Return all times and their statistics as plain data for JSON."""
        derived: dict[str, Any] = {}
        if self.ours:
            derived = {
                "ratio": self.ratio,
                "ratio_of_medians": self.ratio_of_medians,
                "quartiles": self.quartiles,
                "lowest": min(self.ratios),
                "highest": max(self.ratios),
                "greatest_ratio": None if self.floor is None else self.greatest_ratio,
            }
        return {**asdict(self), **derived}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the result from the data of `as_dict`; raise KeyError, TypeError or ValueError for other data."""
        known: dict[str, Any] = {name: data[name] for name in cls.__dataclass_fields__}
        known |= {name: tuple(map(float, known[name])) for name in ("ours", "theirs")}
        known["floor"] = None if known["floor"] is None else Floor(**known["floor"])
        return cls(**known)


@dataclass(frozen=True)
class GeometricMean:
    """Geometric mean of the median ratios of several configurations, with a 95% bootstrap interval over pairs."""

    value: float
    low: float
    high: float
    n_configurations: int


def geometric_mean(speeds: Sequence[Speed]) -> GeometricMean | None:
    """Return the geometric mean of the measured configurations, or None if none was measured.

    The interval resamples the pairs of every configuration, so it holds the noise of this machine and no other.
    """
    measured = [np.array(speed.ratios) for speed in speeds if speed.ratios and not speed.unequal]
    if not measured:
        return None
    generator = np.random.default_rng(0)
    logs = np.zeros(N_RESAMPLES)
    for ratios in measured:
        drawn = ratios[generator.integers(len(ratios), size=(N_RESAMPLES, len(ratios)))]
        logs += np.log(np.median(drawn, axis=1))
    low, high = np.exp(np.quantile(logs / len(measured), (0.025, 0.975)))
    value = np.exp(np.mean([np.log(np.median(ratios)) for ratios in measured]))
    return GeometricMean(float(value), float(low), float(high), len(measured))
