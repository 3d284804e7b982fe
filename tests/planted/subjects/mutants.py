"""Every planted bug in SB3's source, importable as a class by its name: `mutants:adam_eps_1e-8`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.planted.subjects.mutation import Mutant, importer, mutated
from tests.planted.subjects.planted_bug import by_name
from tests.planted.subjects.sb3_bugs import a2c, advantages, initialisation, losses, minibatches, optimisation, rollout

__all__ = ["MODULE", "MUTANTS"]

MODULE = __name__

STAGES = (initialisation, rollout, advantages, minibatches, losses, optimisation, a2c)
MUTANTS: Mapping[str, Mutant] = by_name(mutant for stage in STAGES for mutant in stage.MUTANTS)


def _make(name: str) -> type[Any]:
    return mutated([MUTANTS[one] for one in name.split("+")], name=name, module=MODULE)


__getattr__ = importer(MODULE, _make, lambda: tuple(MUTANTS))
