"""The numbers of a training run that two implementations can be compared by, in the order in which they come about.

A number belongs to a place: `step` environment steps were made before or with it, and `minibatch` minibatches of the
update that follows this step. Sorted by place, and within a place by the order of this list, the first number that
differs is where two implementations part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

__all__ = ["ORDER", "QUANTITIES", "Place", "Quantity", "names"]

Phase = Literal["start", "rollout", "advantages", "update"]


@dataclass(frozen=True)
class Quantity:
    """One kind of number."""

    name: str
    phase: Phase
    meaning: str
    """What it is, in a line; shapes as in the docstrings of custom_ppo."""


class Place(NamedTuple):
    """Where a number belongs; places compare in the order of time."""

    step: int
    """Steps of the vectorised environment made so far, this one included; 0 before the first."""
    minibatch: int
    """0 while acting; in the update that follows the step, the number of the minibatch, from 1."""
    rank: int
    """Position of the quantity in `QUANTITIES`."""

    @property
    def quantity(self) -> str:
        """Name of the quantity."""
        return QUANTITIES[self.rank].name


def _quantities(phase: Phase, **meanings: str) -> tuple[Quantity, ...]:
    return tuple(Quantity(name, phase, meaning) for name, meaning in meanings.items())


QUANTITIES: tuple[Quantity, ...] = (
    *_quantities(
        "start",
        initial_parameters="weights before the first step",
    ),
    *_quantities(
        "rollout",
        observation="what the policy is shown, [N, ...]",
        action="what the policy samples, [N, ...]",
        value="V(s) while acting, [N]",
        log_prob="log pi(a|s) while acting, [N]",
        env_action="what the environment is given, [N, ...]",
        env_reward="what the environment returns, [N]",
        done="whether an episode ended, [N]",
        stored_observation="the observation that is remembered, [N, ...]",
        stored_action="the action that is remembered, [N, A]",
        stored_reward="the reward that is remembered, with the bootstrap at a time limit, [N]",
        episode_start="whether the remembered observation is the first of an episode, [N]",
        stored_value="the value that is remembered, [N]",
        stored_log_prob="the log-probability that is remembered, [N]",
        acting_randomness="state of torch's and NumPy's global generators once the actions are drawn",
    ),
    *_quantities(
        "advantages",
        last_value="V(s) after the last step of a rollout, [N]",
        advantage="advantage estimates of a rollout, [T, N]",
        **{"return": "what the critic is to learn, [T, N]"},
    ),
    *_quantities(
        "update",
        minibatch="which transitions the minibatch holds, [B]",
        batch_observation="observations of the minibatch, [B, ...]",
        batch_action="actions of the minibatch, [B, A]",
        new_value="V(s) under the weights that are being trained, [B]",
        new_log_prob="log pi(a|s) under the weights that are being trained, [B]",
        entropy="entropy of the policy, [B]",
        old_value="V(s) of acting time as the update sees it, [B]",
        old_log_prob="log pi(a|s) of acting time as the update sees it, [B]",
        batch_advantage="advantages of the minibatch before they are normalised, [B]",
        batch_return="targets of the critic, [B]",
        normalized_advantage="advantages as the loss has them, [B]",
        ratio="pi(a|s) / pi_old(a|s), [B]",
        surrogate="the policy objective of every transition, [B]",
        policy_loss="the policy's part of the loss",
        predicted_value="V(s) as the value loss has it, that is clipped where clip_range_vf is given, [B]",
        value_loss="the critic's part of the loss, before vf_coef",
        entropy_loss="the entropy's part of the loss, before ent_coef",
        loss="what is differentiated",
        gradient="gradient of the loss, before it is clipped",
        clipped_gradient="gradient that the optimiser gets",
        learning_rate="step size of the optimiser",
        parameters="weights after the step",
        optimizer_state="moments of the optimiser after the step",
        final_randomness="state of torch's and NumPy's global generators when training ended",
    ),
)

ORDER: Mapping[str, int] = {quantity.name: rank for rank, quantity in enumerate(QUANTITIES)}


def names(phase: Phase) -> tuple[str, ...]:
    """The quantities of one phase, in order."""
    return tuple(quantity.name for quantity in QUANTITIES if quantity.phase == phase)
