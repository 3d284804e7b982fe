"""Quantities of a training run by which two implementations are compared, in the order in which they are computed.

An array is recorded at a place: a step of the environments, a minibatch of the update after that step, and a quantity.
The first divergence of two implementations is the first array that differs, in the order of places.

Each quantity states which others it is computed from. All dependencies that the comparison uses (which quantities read
a stored value, which divergences follow from an earlier one) are derived from this one graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

__all__ = [
    "BY_NAME",
    "ORDER",
    "QUANTITIES",
    "Moment",
    "Phase",
    "Place",
    "Quantity",
    "ancestors",
    "descendants",
    "direct_uses",
]

Phase = Literal["start", "rollout", "advantages", "update"]
"""Part of an iteration in which a quantity is computed."""

Moment = tuple[int, int]
"""Step of the environments, and minibatch of the update that follows it (0 while acting)."""


@dataclass(frozen=True)
class Quantity:
    """One kind of array that a training run computes."""

    name: str
    phase: Phase
    meaning: str
    """Meaning in one line, with shapes as in the docstrings of custom_ppo: N environments, T steps, B transitions."""
    made_from: tuple[str, ...] = ()
    """Names of the quantities it is computed from directly, within one iteration."""


class Place(NamedTuple):
    """Step, minibatch and quantity at which an array is recorded; places sort in chronological order."""

    step: int
    """Steps of the vectorised environment made so far, this one included; 0 before the first."""
    minibatch: int
    """Minibatch of the update that follows the step, from 1; 0 while acting."""
    rank: int
    """Position of the quantity in `QUANTITIES`."""

    @property
    def quantity(self) -> str:
        """Name of the quantity."""
        return QUANTITIES[self.rank].name

    @property
    def moment(self) -> Moment:
        """Step and minibatch."""
        return self.step, self.minibatch


# The graph has no cycles, because it leaves out what carries over from one moment to the next: the weights (on which
# every output of a network depends), the moments of the optimiser, and the state of the environments.
QUANTITIES: tuple[Quantity, ...] = (
    Quantity("initial_parameters", "start", "weights before the first step"),
    Quantity("observation", "rollout", "input of the policy while acting, [N, ...]"),
    Quantity("action", "rollout", "action sampled by the policy, [N, ...]", ("observation",)),
    Quantity("value", "rollout", "V(s) while acting, [N]", ("observation",)),
    Quantity("log_prob", "rollout", "log pi(a|s) while acting, [N]", ("observation", "action")),
    Quantity("env_action", "rollout", "action passed to the environment, [N, ...]", ("action",)),
    Quantity("env_reward", "rollout", "reward returned by the environment, [N]", ("env_action",)),
    Quantity("done", "rollout", "1 where an episode ended, [N]", ("env_action",)),
    Quantity("stored_observation", "rollout", "observation in the rollout buffer, [N, ...]", ("observation",)),
    Quantity("stored_action", "rollout", "action in the rollout buffer, [N, A]", ("action",)),
    Quantity(
        "stored_reward",
        "rollout",
        "reward in the rollout buffer, with the bootstrap at a time limit, [N]",
        ("env_reward", "done"),
    ),
    Quantity("episode_start", "rollout", "1 where the stored observation is the first of an episode, [N]", ("done",)),
    Quantity("stored_value", "rollout", "value in the rollout buffer, [N]", ("value",)),
    Quantity("stored_log_prob", "rollout", "log-probability in the rollout buffer, [N]", ("log_prob",)),
    Quantity(
        "acting_randomness", "rollout", "state of torch's and NumPy's global generators once the actions are drawn"
    ),
    Quantity("last_value", "advantages", "V(s) after the last step of a rollout, [N]", ("observation",)),
    Quantity(
        "advantage",
        "advantages",
        "advantage estimates of a rollout, [T, N]",
        ("done", "stored_reward", "episode_start", "stored_value", "last_value"),
    ),
    Quantity("return", "advantages", "targets of the critic, [T, N]", ("stored_value", "advantage")),
    Quantity("minibatch", "update", "indices of the minibatch's transitions, [B]"),
    Quantity(
        "batch_observation", "update", "observations of the minibatch, [B, ...]", ("stored_observation", "minibatch")
    ),
    Quantity("batch_action", "update", "actions of the minibatch, [B, A]", ("stored_action", "minibatch")),
    # The networks' outputs depend on episode starts where the policy is recurrent: these reset its hidden state.
    Quantity(
        "new_value",
        "update",
        "V(s) under the weights that are being trained, [B]",
        ("episode_start", "batch_observation"),
    ),
    Quantity(
        "new_log_prob",
        "update",
        "log pi(a|s) under the weights that are being trained, [B]",
        ("episode_start", "batch_observation", "batch_action"),
    ),
    Quantity("entropy", "update", "entropy of the policy, [B]", ("episode_start", "batch_observation")),
    Quantity("old_value", "update", "V(s) while acting, as the update reads it, [B]", ("stored_value", "minibatch")),
    Quantity(
        "old_log_prob",
        "update",
        "log pi(a|s) while acting, as the update reads it, [B]",
        ("stored_log_prob", "minibatch"),
    ),
    Quantity(
        "batch_advantage",
        "update",
        "advantages of the minibatch before they are normalised, [B]",
        ("advantage", "minibatch"),
    ),
    Quantity("batch_return", "update", "targets of the critic in the minibatch, [B]", ("return", "minibatch")),
    Quantity("normalized_advantage", "update", "advantages as the loss reads them, [B]", ("batch_advantage",)),
    Quantity("ratio", "update", "pi(a|s) / pi_old(a|s), [B]", ("new_log_prob", "old_log_prob")),
    Quantity("surrogate", "update", "policy objective of each transition, [B]", ("normalized_advantage", "ratio")),
    Quantity("policy_loss", "update", "policy term of the loss", ("surrogate",)),
    Quantity(
        "predicted_value",
        "update",
        "V(s) as the value loss reads it, clipped if clip_range_vf is given, [B]",
        ("new_value", "old_value"),
    ),
    Quantity("value_loss", "update", "value term of the loss, before vf_coef", ("batch_return", "predicted_value")),
    Quantity("entropy_loss", "update", "entropy term of the loss, before ent_coef", ("entropy",)),
    Quantity("loss", "update", "scalar that is differentiated", ("policy_loss", "value_loss", "entropy_loss")),
    Quantity("gradient", "update", "gradient of the loss, before it is clipped", ("loss",)),
    Quantity("clipped_gradient", "update", "gradient passed to the optimiser", ("gradient",)),
    Quantity("learning_rate", "update", "step size of the optimiser"),
    Quantity("parameters", "update", "weights after the step", ("clipped_gradient", "learning_rate")),
    Quantity("optimizer_state", "update", "moments of the optimiser after the step", ("clipped_gradient",)),
    Quantity("final_randomness", "update", "state of torch's and NumPy's global generators when training ended"),
)
"""Quantities in the order in which they are computed at one moment: a topological order of the graph."""

BY_NAME: Mapping[str, Quantity] = {quantity.name: quantity for quantity in QUANTITIES}
"""Quantities by their names."""

ORDER: Mapping[str, int] = {quantity.name: rank for rank, quantity in enumerate(QUANTITIES)}
"""Name -> rank."""


def direct_uses(name: str) -> tuple[str, ...]:
    """Return the names of the quantities computed directly from this one, in order."""
    return tuple(quantity.name for quantity in QUANTITIES if name in quantity.made_from)


@cache
def ancestors(name: str) -> frozenset[str]:
    """Return the names of all quantities that this one depends on, directly or through others."""
    inputs = BY_NAME[name].made_from
    return frozenset(inputs).union(*map(ancestors, inputs))


@cache
def descendants(name: str) -> frozenset[str]:
    """Return the names of all quantities that depend on this one, directly or through others."""
    uses = direct_uses(name)
    return frozenset(uses).union(*map(descendants, uses))
