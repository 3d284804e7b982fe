"""Implementations that look different and are correct: none may be reported as a mistake.

Each is importable by its name: `equivalents:two_optimizers_and_one_clip`. It has the id of the same equivalent in
harness/catalogue, if there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stable_baselines3 import PPO

from tests.planted.subjects import standalone_bugs
from tests.planted.subjects.mutation import Edit, importer, mutated
from tests.planted.subjects.planted_bug import CATALOGUE_IDS
from tests.planted.subjects.sb3_bugs.losses import (
    ENTROPY_TERM,
    LOSS,
    NORMALISED,
    RATIO,
    VALUE_LOSS,
    VALUE_TERM,
)
from tests.planted.subjects.sb3_bugs.optimisation import CLIP, STEP, ZERO_GRAD

__all__ = ["EQUIVALENTS", "MODULE", "Equivalent"]

MODULE = __name__
Verdict = Literal["identical", "identical weights", "rounding"]
"""Closeness to SB3's PPO: every bit is equal; a quantity differs on which no weight depends; or float32 operations come
in another order."""
COLLECT = "OnPolicyAlgorithm.collect_rollouts"
GAE = "RolloutBuffer.compute_returns_and_advantage"
TRAIN = "PPO.train"


@dataclass(frozen=True)
class Equivalent:
    """A correct implementation, and its closeness to SB3's PPO."""

    name: str
    verdict: Verdict
    why: str
    """Reason why the difference is harmless."""
    make: Callable[[str], type[Any]]
    """Name of the class -> the class."""

    @property
    def deviation(self) -> str | None:
        """Catalogue id of this way of writing, or None if the catalogue has none."""
        return self.name if self.name in CATALOGUE_IDS else None


def of_sb3(*edits: Edit) -> Callable[[str], type[Any]]:
    """Return a function that makes a class of SB3's source with these edits."""
    return lambda name: mutated((), name=name, module=MODULE, extra=edits)


def of_standalone(*fragments: tuple[str, str]) -> Callable[[str], type[Any]]:
    """Return a function that makes a class of the standalone PPO with these fragments (old, new) replaced."""
    return lambda name: standalone_bugs.rewritten(fragments, name=name, module=MODULE)


def subclass(name: str) -> type[Any]:
    """Return a subclass of SB3's PPO that changes nothing."""
    return type(name, (PPO,), {"__module__": MODULE})


TWO_ADAMS = """self.optimizer = torch.optim.Adam(
            [*self.heads.parameters(), *self.actor.parameters()], lr=self.learning_rate(1.0), eps=1e-5
        )
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=self.learning_rate(1.0), eps=1e-5)"""
TWO_ADAMS_FRAGMENTS = (
    (f"self.optimizer = {standalone_bugs.ADAM}", TWO_ADAMS),
    (
        "for group in self.optimizer.param_groups:",
        "for group in self.optimizer.param_groups + self.critic_optimizer.param_groups:",
    ),
    (
        "        self.optimizer.zero_grad()\n",
        "        self.optimizer.zero_grad()\n        self.critic_optimizer.zero_grad()\n",
    ),
    (standalone_bugs.STEP, standalone_bugs.STEP + "        self.critic_optimizer.step()\n"),
)
NO_GRAD = "with th.no_grad():\n            # Convert to pytorch"
OWN_CLIP = """            norm = th.cat([p.grad.flatten() for p in self.policy.parameters()]).norm()
            for p in self.policy.parameters():
                p.grad *= min(1.0, self.max_grad_norm / (float(norm) + 1e-6))
"""

EQUIVALENTS: Mapping[str, Equivalent] = {
    equivalent.name: equivalent
    for equivalent in (
        Equivalent("plain_subclass", "identical", "the subclass changes nothing", subclass),
        Equivalent("standalone", "identical", "no code is shared, and every operation is SB3's", of_standalone()),
        Equivalent(
            "two_optimizers_and_one_clip",
            "identical",
            "Adam updates each parameter independently; only the clipping depends on all",
            of_standalone(*TWO_ADAMS_FRAGMENTS),
        ),
        Equivalent(
            "first_episode_start_lost",
            "identical weights",
            "only the first row of episode_starts differs, which the advantages never use",
            of_sb3(
                Edit(
                    COLLECT,
                    "    callback.on_rollout_start()\n",
                    "    callback.on_rollout_start()\n"
                    "    self._last_episode_starts = np.zeros_like(self._last_episode_starts)\n",
                )
            ),
        ),
        Equivalent(
            "zero_grad_to_zeros",
            "identical",
            "adding to zero is exact",
            of_sb3(Edit(TRAIN, ZERO_GRAD, ZERO_GRAD.replace("()", "(set_to_none=False)"))),
        ),
        Equivalent(
            "gradients_zeroed_after_step",
            "identical",
            "before the first minibatch there are no gradients",
            of_sb3(Edit(TRAIN, ZERO_GRAD, ""), Edit(TRAIN, STEP, STEP + ZERO_GRAD)),
        ),
        Equivalent(
            "inference_mode",
            "identical",
            "it is no_grad with less bookkeeping",
            of_sb3(Edit(COLLECT, NO_GRAD, NO_GRAD.replace("no_grad", "inference_mode"))),
        ),
        Equivalent(
            "larger_of_two_losses",
            "identical",
            "changing signs is exact",
            of_sb3(
                Edit(
                    TRAIN,
                    "policy_loss = -th.min(policy_loss_1, policy_loss_2).mean()",
                    "policy_loss = th.max(-policy_loss_1, -policy_loss_2).mean()",
                )
            ),
        ),
        Equivalent(
            "factors_exchanged",
            "identical",
            "multiplication is commutative to the bit",
            of_sb3(Edit(TRAIN, "policy_loss_1 = advantages * ratio", "policy_loss_1 = ratio * advantages")),
        ),
        Equivalent(
            "gae_in_float64",
            "rounding",
            "the recursion has more digits than SB3's",
            of_sb3(
                Edit(GAE, "    last_gae_lam = 0\n", "    last_gae_lam = np.zeros(self.n_envs)\n"),
                Edit(GAE, "delta = self.rewards[step]", "delta = self.rewards[step].astype(np.float64)"),
            ),
        ),
        Equivalent(
            "value_loss_written_out",
            "rounding",
            "the factor 2 / B is applied in two parts",
            of_sb3(Edit(TRAIN, VALUE_LOSS, "value_loss = ((rollout_data.returns - values_pred) ** 2).mean()")),
        ),
        Equivalent(
            "loss_terms_in_another_order",
            "identical weights",
            "the sum is rounded differently, but its gradient is not",
            of_sb3(Edit(TRAIN, LOSS, f"loss = {VALUE_TERM} + {ENTROPY_TERM} + policy_loss")),
        ),
        Equivalent(
            "ratio_of_probabilities",
            "rounding",
            "exp(a) / exp(b) equals exp(a - b) up to rounding",
            of_sb3(Edit(TRAIN, RATIO, "ratio = th.exp(log_prob) / th.exp(rollout_data.old_log_prob)")),
        ),
        Equivalent(
            "advantages_times_inverse_std",
            "rounding",
            "a quotient is rounded once, a product with the inverse twice",
            of_sb3(
                Edit(
                    TRAIN,
                    NORMALISED,
                    "(advantages - advantages.mean()) * (1 / (advantages.std() + 1e-8))",
                )
            ),
        ),
        Equivalent(
            "mean_as_sum_over_count",
            "identical weights",
            "the loss is rounded differently, but its gradient is not",
            of_sb3(
                Edit(
                    TRAIN,
                    "policy_loss = -th.min(policy_loss_1, policy_loss_2).mean()",
                    "policy_loss = -(th.min(policy_loss_1, policy_loss_2) * (1 / len(ratio))).sum()",
                )
            ),
        ),
        Equivalent(
            "own_gradient_clipping",
            "rounding",
            "the norm is summed over all numbers at once",
            of_sb3(Edit(TRAIN, CLIP, OWN_CLIP)),
        ),
        Equivalent(
            "probabilities_instead_of_logits",
            "rounding",
            "the logits are recovered by softmax and log",
            of_sb3(
                Edit(
                    "CategoricalDistribution.proba_distribution",
                    "Categorical(logits=action_logits)",
                    "Categorical(probs=action_logits.softmax(dim=1))",
                )
            ),
        ),
    )
}

__getattr__ = importer(MODULE, lambda name: EQUIVALENTS[name].make(name), lambda: tuple(EQUIVALENTS))
