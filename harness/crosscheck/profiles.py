"""Profiles: environments and hyperparameters under which two implementations are compared.

Default hyperparameters hide about a third of all mistakes: a clip range that is never reached, an entropy coefficient
of zero, a time limit that no episode reaches. With the stress profile all of these have an effect within three short
updates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from harness.errors import UnknownNameError, did_you_mean
from harness.experiment.plan import RunSpec, plan
from harness.experiment.single_run import single_run

__all__ = ["PROFILES", "Case", "Profile", "named_profile", "profile_of_file"]


@dataclass(frozen=True)
class Case:
    """One environment, and the hyperparameters for training in it."""

    env: str
    """Name in `environments.ENVIRONMENTS`, or Gymnasium id."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Hyperparameters under SB3's names."""
    n_envs: int = 2
    n_updates: int = 3
    policy: Any = "MlpPolicy"
    spec: RunSpec | None = None
    """Wrappers and normalisation of the environment, if the case comes from a file."""


@dataclass(frozen=True)
class Profile:
    """Named set of cases."""

    name: str
    meaning: str
    cases: tuple[Case, ...]

    def with_envs(self, envs: tuple[str, ...]) -> Profile:
        """Return the profile in other environments: each has its own case, or else the settings of the first."""
        known = {case.env: case for case in self.cases}
        return replace(self, cases=tuple(known.get(env) or replace(self.cases[0], env=env) for env in envs))


def _falling(progress_remaining: float, first: float) -> float:
    """Return a scheduled value: `first` at the start of training, a third of it at the end."""
    return first * (1 + 2 * progress_remaining) / 3


_ANY_TOTAL = 100_000
"""Length of training assumed when a file's settings are read; only the first updates are compared."""

_STRESS: Mapping[str, Any] = {
    "n_steps": 32,
    "batch_size": 24,  # does not divide 2 * 32, so the last minibatch is smaller: a mean of means differs from the mean
    "n_epochs": 3,
    "learning_rate": 1e-2,  # large enough for ratios beyond the clip range from the second minibatch on
    "clip_range": 0.1,
    "clip_range_vf": 0.2,
    "ent_coef": 0.01,
    "vf_coef": 0.7,
    "gamma": 0.98,
    "gae_lambda": 0.9,
}

STRESS = Profile(
    "stress",
    "every term of the loss has an effect, episodes end in both ways, schedules fall, target_kl is reached",
    (
        Case("TightBounds", _STRESS),
        Case(
            "CartPole15",
            {**_STRESS, "learning_rate": partial(_falling, first=1e-2), "clip_range": partial(_falling, first=0.15)},
        ),
        Case("ManySwitches", {**_STRESS, "target_kl": 0.02, "clip_range_vf": None}),
        Case("Pendulum20", {**_STRESS, "clip_range_vf": None, "n_steps": 30, "batch_size": 20}, n_envs=1),
    ),
)

DEFAULT = Profile(
    "default",
    "SB3's default hyperparameters; rollouts are shortened to 256 steps",
    (
        Case("CartPole-v1", {"n_steps": 256}, n_envs=1, n_updates=2),
        Case("Pendulum-v1", {"n_steps": 256}, n_envs=1, n_updates=2),
    ),
)

PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in (DEFAULT, STRESS)}
"""Profiles by their names."""


def profile_of_file(file: Path, envs: Sequence[str], algorithm: str) -> Profile:
    """Return the profile of a user's own settings for these environments, from a zoo-style file.

    algorithm: registered name of the algorithm that the hyperparameters are for. Raises ConfigError as training would.
    """
    from harness.training.models import constructor_arguments

    cases = []
    for env in envs:
        (spec,) = plan(single_run(algorithm, env, 0, _ANY_TOTAL, str(file), "harness crosscheck"))
        arguments = constructor_arguments(spec)
        policy = arguments.pop("policy")
        n_envs = int(spec.hyperparams.get("n_envs", 1))
        cases.append(Case(env, arguments, n_envs=n_envs, n_updates=2, policy=policy, spec=spec))
    return Profile(file.name, "settings from a file", tuple(cases))


def named_profile(name: str) -> Profile:
    """Return the profile of this name; raises UnknownNameError."""
    if name not in PROFILES:
        raise UnknownNameError(
            f"profile {name!r} is not known{did_you_mean(name, PROFILES)} (there are: {', '.join(PROFILES)})"
        )
    return PROFILES[name]
