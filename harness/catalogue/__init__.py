"""Catalogue of mistakes: ways in which a PPO can differ from Stable-Baselines3's, each under one id.

Most are deviations: changes of CustomPPO. CustomPPO equals SB3's PPO to the bit, and CustomPPO with a deviation equals
SB3's PPO with the same mistake, so an explanation can be exact. If a mistake can be written in several ways that round
differently, each way is an entry, or the description says which one is meant. The other mistakes are known from single
functions, and only function checks report them.
"""

from __future__ import annotations

from harness.catalogue.advantages import ADVANTAGES
from harness.catalogue.batches import BATCHES
from harness.catalogue.deviation import Deviation
from harness.catalogue.early_stopping import EARLY_STOPPING
from harness.catalogue.entropies import ENTROPIES
from harness.catalogue.gae_recursion import GAE_RECURSION
from harness.catalogue.gradients import GRADIENTS
from harness.catalogue.initialisation import INITIALISATION
from harness.catalogue.log_probs import LOG_PROBS
from harness.catalogue.losses import LOSSES
from harness.catalogue.minibatches import MINIBATCHES
from harness.catalogue.mistake import Mistake
from harness.catalogue.normalisation import NORMALISATION
from harness.catalogue.optimisation import OPTIMISATION
from harness.catalogue.policies import POLICIES
from harness.catalogue.policy_losses import POLICY_LOSSES
from harness.catalogue.returns import RETURNS
from harness.catalogue.rewards import REWARDS
from harness.catalogue.rollout import ROLLOUT
from harness.catalogue.schedules import SCHEDULES
from harness.catalogue.surrogates import SURROGATES
from harness.catalogue.timeouts import TIMEOUTS
from harness.catalogue.value_losses import VALUE_LOSSES
from harness.errors import UnknownNameError, did_you_mean

__all__ = ["CATALOGUE", "ENDINGS", "MISTAKES", "Deviation", "Mistake", "deviation"]

MISTAKES: tuple[Mistake, ...] = (
    *INITIALISATION,
    *POLICIES,
    *LOG_PROBS,
    *ENTROPIES,
    *ROLLOUT,
    *REWARDS,
    *TIMEOUTS,
    *GAE_RECURSION,
    *ADVANTAGES,
    *RETURNS,
    *MINIBATCHES,
    *BATCHES,
    *NORMALISATION,
    *SURROGATES,
    *POLICY_LOSSES,
    *VALUE_LOSSES,
    *LOSSES,
    *EARLY_STOPPING,
    *GRADIENTS,
    *SCHEDULES,
    *OPTIMISATION,
)
"""All known mistakes, from the initial weights to the optimiser's step."""

CATALOGUE: tuple[Deviation, ...] = tuple(mistake for mistake in MISTAKES if isinstance(mistake, Deviation))
"""All mistakes that CustomPPO can be trained with, in the order in which they are applied: those that replace a part of
the recipe come before those that change the arguments or the result of a part."""

ENDINGS: tuple[Deviation, ...] = EARLY_STOPPING
"""Deviations that decide when an update ends. Two of them may undo each other, so they are tried in pairs."""

_BY_ID = {entry.id: entry for entry in CATALOGUE}
_ONLY_CHECKED = {mistake.id: mistake for mistake in MISTAKES if mistake.id not in _BY_ID}


def deviation(name: str) -> Deviation:
    """Return the deviation with this id; raise UnknownNameError."""
    if name in _ONLY_CHECKED:
        reason = _ONLY_CHECKED[name].no_deviation
        raise UnknownNameError(f"{name!r} is a mistake for function checks only, not a deviation: {reason}")
    if name not in _BY_ID:
        hint = did_you_mean(name, _BY_ID) or "; `python -m harness.catalogue` lists them"
        raise UnknownNameError(f"deviation {name!r} is not in the catalogue{hint}")
    return _BY_ID[name]
