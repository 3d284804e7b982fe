"""The catalogue of deviations: ways in which a PPO can part from Stable-Baselines3's, each as a change of CustomPPO.

CustomPPO equals SB3's PPO to the bit, so that with a deviation it equals a PPO of SB3 with the same mistake: that is
what makes an explanation exact. Where people write a mistake in several ways with different bits, each is an entry of
its own, or the description says which one is meant.
"""

from __future__ import annotations

from harness.catalogue.advantages import ADVANTAGES
from harness.catalogue.batches import BATCHES
from harness.catalogue.deviation import Deviation
from harness.catalogue.early_stopping import DIVERGENCE
from harness.catalogue.gradients import GRADIENTS
from harness.catalogue.initialisation import START
from harness.catalogue.losses import LOSSES
from harness.catalogue.minibatches import MINIBATCHES
from harness.catalogue.normalisation import NORMALISATION
from harness.catalogue.optimisation import OPTIMISATION
from harness.catalogue.policies import POLICIES
from harness.catalogue.returns import RETURNS
from harness.catalogue.rewards import REWARDS
from harness.catalogue.rollout import ROLLOUT
from harness.catalogue.schedules import SCHEDULES
from harness.catalogue.surrogates import SURROGATES
from harness.errors import UnknownNameError, did_you_mean

__all__ = ["CATALOGUE", "ENDINGS", "Deviation", "deviation"]

CATALOGUE: tuple[Deviation, ...] = (
    *START,
    *POLICIES,
    *ROLLOUT,
    *REWARDS,
    *ADVANTAGES,
    *RETURNS,
    *MINIBATCHES,
    *BATCHES,
    *NORMALISATION,
    *SURROGATES,
    *LOSSES,
    *DIVERGENCE,
    *GRADIENTS,
    *SCHEDULES,
    *OPTIMISATION,
)
"""Every deviation that is known, from the first weights to the optimiser's step. They are applied in this order, so
that those that replace a part of the recipe come before those that change what it is given or what it returns."""

ENDINGS: tuple[Deviation, ...] = DIVERGENCE
"""Those that decide when an update ends. Two of them may undo each other, so that they are tried in pairs."""

_BY_ID = {entry.id: entry for entry in CATALOGUE}


def deviation(name: str) -> Deviation:
    """The deviation with this id; raises UnknownNameError."""
    if name not in _BY_ID:
        hint = did_you_mean(name, _BY_ID) or "; `python -m harness.catalogue` lists them"
        raise UnknownNameError(f"deviation {name!r} is not in the catalogue{hint}")
    return _BY_ID[name]
