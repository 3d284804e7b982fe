"""Intermediates of the loss: quantities that an implementation may keep in local variables, and what they imply.

They have no name in most implementations, so they are searched for among the results of all tensor operations. The
tables here are derived from the graph of quantities; where they leave the graph, a comment says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.crosscheck.quantities import BY_NAME, ORDER, QUANTITIES, ancestors, direct_uses

__all__ = ["CHAIN_OF", "FIRST_LOCAL", "GRADIENT", "IMPLIED_INPUTS", "SUMMANDS"]

# Indices are integers, and so are many actions: the log of operations holds floating-point results only.
_NOT_LOGGED = frozenset(("minibatch", "batch_action"))

INTERMEDIATES: Sequence[str] = tuple(
    quantity.name
    for quantity in QUANTITIES
    if quantity.phase == "update" and quantity.name in ancestors("loss") | {"loss"} and quantity.name not in _NOT_LOGGED
)
"""Names of the searchable quantities from the minibatch's inputs to the loss, in order."""

# Normalised advantages have a mean of zero even if they are divided by a wrong number, so the policy term may be right
# (nearly zero) although each of its parts is wrong, and the whole loss is then right as well. A ratio is near one for
# any observations, so a right ratio is evidence about the log-probabilities only.
_NOT_IMPLIED: Mapping[str, frozenset[str]] = {
    "loss": ancestors("policy_loss") | {"policy_loss"},
    "ratio": frozenset(("batch_observation",)),
}

IMPLIED_INPUTS: Mapping[int, frozenset[int]] = {
    ORDER[name]: frozenset(
        ORDER[part] for part in ancestors(name) - _NOT_IMPLIED.get(name, frozenset[str]()) if part in INTERMEDIATES
    )
    for name in INTERMEDIATES
}
"""Rank of an intermediate -> ranks of the intermediates that must be right if it is right. A correct surrogate, for
instance, clears the ratio, even if the implementation never computes one."""

FIRST_LOCAL = ORDER["normalized_advantage"]
"""Rank from which on intermediates are local variables even in SB3's PPO, so that no subclass of it names them."""

GRADIENT = ORDER["gradient"]

_POLICY_SUMMANDS = BY_NAME["policy_loss"].made_from
SUMMANDS: Mapping[int, Sequence[str]] = {
    ORDER["policy_loss"]: _POLICY_SUMMANDS,
    ORDER["loss"]: (*_POLICY_SUMMANDS, *(name for name in BY_NAME["loss"].made_from if name != "policy_loss")),
}
"""Rank of a sum that may cancel out -> names of its summands: rounding is relative to these, not to the sum."""


def _chains() -> dict[str, frozenset[str]]:
    """Return the chains along which an error spreads: the networks' evaluation, each term of the loss, their total."""
    networks = frozenset(("batch_observation", *direct_uses("batch_observation")))
    terms = {
        term: (ancestors(term) | {term}) & frozenset(INTERMEDIATES) - networks for term in BY_NAME["loss"].made_from
    }
    return {"networks": networks, **terms, "total": frozenset(("loss", *direct_uses("loss")))}


CHAINS: Mapping[str, frozenset[str]] = _chains()
"""Chain -> names of its quantities. A fed run cannot replace a local variable, so an error in one spreads to the end of
its chain."""

CHAIN_OF: Mapping[int, str] = {ORDER[name]: chain for chain, names in CHAINS.items() for name in names}
"""Rank -> chain; for the intermediates and the gradient."""
