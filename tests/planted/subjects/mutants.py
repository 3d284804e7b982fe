"""All planted bugs in SB3's own source; each is a class of this module under its id: `mutants:adam_eps_1e-8`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.planted.subjects.mutation import Mutant, importer, mutated
from tests.planted.subjects.plants import (
    a2c,
    advantages,
    losses,
    minibatches,
    optimisation,
    rollout,
    start,
)

__all__ = ["MODULE", "MUTANTS"]

MODULE = __name__

MUTANTS: Mapping[str, Mutant] = {
    mutant.id: mutant
    for part in (start, rollout, advantages, minibatches, losses, optimisation, a2c)
    for mutant in part.MUTANTS
}


def _make(name: str) -> type[Any]:
    return mutated([MUTANTS[one] for one in name.split("+")], name=name, module=MODULE)


__getattr__ = importer(MODULE, _make, lambda: tuple(MUTANTS))
