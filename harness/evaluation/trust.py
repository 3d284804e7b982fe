"""Packages that a stored run would import: only those of an allow-list are imported without being asked for.

The record of a run names classes and modules. In results from elsewhere these names were written by others, and
importing a module runs its code.
"""

from __future__ import annotations

from collections.abc import Collection

from harness.config.hyperparams import parse_wrappers
from harness.config.trust import TRUSTED_PACKAGES
from harness.errors import RecordError
from harness.experiment.plan import RunSpec

__all__ = ["check_trust", "imported_packages"]

_OWN = ("custom_ppo", "harness")


def imported_packages(spec: RunSpec) -> list[str]:
    """Return the top-level packages that building this run imports by name, in the order of their mention."""
    dotted = []
    for name in (spec.algo_class, spec.env):
        module, colon, _ = name.rpartition(":")
        if colon:
            dotted.append(module)
    for key in ("env_wrapper", "vec_env_wrapper"):
        dotted += [name for name, _ in parse_wrappers(spec.hyperparams.get(key))]
    policy = spec.hyperparams.get("policy")
    if isinstance(policy, str) and "." in policy:
        dotted.append(policy)
    return list(dict.fromkeys(name.partition(".")[0] for name in dotted))


def check_trust(spec: RunSpec, where: object, trusted: Collection[str]) -> None:
    """Raise RecordError if the run names a package that is neither on the allow-list nor in `trusted`.

    where: the run's folder, for the message.
    """
    for package in imported_packages(spec):
        if package not in (*TRUSTED_PACKAGES, *_OWN, *trusted):
            raise RecordError(
                f"{where}: its record names code of the package {package}, which would be run; "
                f"if you trust it, add --trust {package}"
            )
