"""Subjects of the benchmark with what the cross-check is expected to find in them, and random combinations of bugs."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from harness.crosscheck.profiles import Profile
from harness.errors import UnknownNameError, did_you_mean
from tests.planted.subjects import equivalents, mutants, mutation, standalone_bugs
from tests.planted.subjects.training import CASES

__all__ = ["KINDS", "Planted", "combinations", "named", "singles"]

T = TypeVar("T")
KINDS = ("sb3", "standalone", "equivalents")
"""Kinds of subjects: bugs in SB3's source, bugs in the standalone PPO, correct implementations."""


@dataclass(frozen=True)
class Planted:
    """A subject, and what the cross-check is expected to find in it."""

    name: str
    """Names of its bugs, joined by "+"."""
    module: str
    """Module that the subject is imported from, as an attribute with this name."""
    expected_at: tuple[str, ...]
    """First quantity that must differ, bug by bug; empty for a correct implementation."""
    deviations: tuple[str | None, ...]
    """Id of each bug in the catalogue; None if the catalogue lacks it."""
    environments: tuple[str, ...]
    """Environments of the stress profile in which the bugs make a difference."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Changes of the profile's hyperparameters without which a bug makes no difference."""
    reference: str = "ppo"
    """Algorithm of SB3 that it is compared with: "ppo" or "a2c"."""
    expected_verdict: str = "different"
    """One of `outcomes.VERDICTS`; the worst that is right for a correct implementation."""

    @property
    def profile(self) -> Profile:
        """Stress profile, restricted to the subject's environments and with its settings."""
        cases = (CASES[env] for env in self.environments)
        changed = (dataclasses.replace(case, settings={**case.settings, **self.settings}) for case in cases)
        return Profile("stress", "environments in which the bugs make a difference", tuple(changed))


def singles(kind: str) -> list[Planted]:
    """Return every subject of one of the `KINDS`, with one bug each."""
    match kind:
        case "sb3":
            return [_with_mutants([mutant]) for mutant in mutants.MUTANTS.values()]
        case "standalone":
            return [_with_bugs([bug]) for bug in standalone_bugs.BUGS.values()]
        case _:
            return [
                Planted(
                    name,
                    equivalents.MODULE,
                    (),
                    () if equivalent.deviation is None else (equivalent.deviation,),
                    tuple(CASES),
                    # The cross-check calls it "rounding" if a quantity differs on which no weight depends.
                    expected_verdict=equivalent.verdict.replace("identical weights", "rounding"),
                )
                for name, equivalent in equivalents.EQUIVALENTS.items()
            ]


def combinations(kind: str, size: int, count: int, seed: int = 0) -> list[Planted]:
    """Return `count` subjects with `size` bugs each, drawn at random from the bugs that the catalogue names.

    Bugs that edit the same lines or need settings of their own are not combined, nor is one that changes no more than
    rounding: next to a larger difference it cannot be distinguished from noise.
    """
    rng = random.Random(f"{kind} {size} {seed}")
    plant: Callable[[Sequence[Any]], Planted] = _with_mutants if kind == "sb3" else _with_bugs
    compatible: Callable[[Sequence[Any]], bool] = mutation.compatible if kind == "sb3" else standalone_bugs.compatible
    pool: list[Any] = [*mutants.MUTANTS.values()] if kind == "sb3" else [*standalone_bugs.BUGS.values()]
    pool = [bug for bug in pool if bug.deviation is not None and not getattr(bug, "settings", {})]
    pool = [bug for bug in pool if not getattr(bug, "rounding", False)]
    found: dict[str, Planted] = {}
    while len(found) < count:
        chosen = rng.sample(pool, size)
        if compatible(chosen):
            planted = plant(chosen)
            found.setdefault("+".join(sorted(planted.name.split("+"))), planted)
    return list(found.values())


def named(kind: str, name: str) -> Planted:
    """Return the subject with this bug, or with several joined by "+"; raise UnknownNameError if one is unknown."""
    if kind == "sb3":
        return _with_mutants([_known(mutants.MUTANTS, one) for one in name.split("+")])
    if kind == "standalone":
        return _with_bugs([_known(standalone_bugs.BUGS, one) for one in name.split("+")])
    return _known({planted.name: planted for planted in singles(kind)}, name)


def _known(subjects: Mapping[str, T], name: str) -> T:
    if name not in subjects:
        raise UnknownNameError(f"no planted bug or subject is named {name!r}{did_you_mean(name, subjects)}")
    return subjects[name]


def _with_mutants(chosen: Sequence[mutation.Mutant]) -> Planted:
    return Planted(
        "+".join(mutant.name for mutant in chosen),
        mutants.MODULE,
        tuple(mutant.stage for mutant in chosen),
        tuple(mutant.deviation for mutant in chosen),
        tuple(dict.fromkeys(mutant.env for mutant in chosen)),
        settings={name: value for mutant in chosen for name, value in mutant.settings.items()},
        reference="a2c" if chosen[0].algorithm == "A2C" else "ppo",
        expected_verdict="rounding" if all(mutant.rounding for mutant in chosen) else "different",
    )


def _with_bugs(chosen: Sequence[standalone_bugs.Bug]) -> Planted:
    return Planted(
        "+".join(bug.name for bug in chosen),
        standalone_bugs.MODULE,
        tuple(bug.stage for bug in chosen),
        tuple(bug.deviation for bug in chosen),
        tuple(dict.fromkeys(bug.env for bug in chosen)),
    )
