"""Bugs in A2C's update and optimiser; A2C shares all other code with PPO."""

from __future__ import annotations

from tests.planted.subjects.mutation import Mutant

__all__ = ["MUTANTS"]

TRAIN = "A2C.train"
INIT = "A2C.__init__"
POLICY_LOSS = "policy_loss = -(advantages * log_prob).mean()"
VALUE_LOSS = "value_loss = F.mse_loss(rollout_data.returns, values)"
LOSS = "loss = policy_loss + self.ent_coef * entropy_loss + self.vf_coef * value_loss"
CLIP = "        th.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)\n"

MUTANTS = (
    Mutant("advantages_normalised", TRAIN, "if self.normalize_advantage:", "if True:", "surrogate"),
    Mutant("policy_loss_summed", TRAIN, POLICY_LOSS, POLICY_LOSS.replace("mean", "sum"), "policy_loss", variant="a2c"),
    Mutant("value_loss_halved", TRAIN, VALUE_LOSS, VALUE_LOSS.replace("F.", "0.5 * F."), "loss", variant="a2c"),
    Mutant(
        "values_broadcast",
        TRAIN,
        "values = values.flatten()",
        "pass",
        "value_loss",
        note="[B, 1] is broadcast against [B]",
        variant="a2c",
    ),
    Mutant(
        "entropy_sign",
        TRAIN,
        "entropy_loss = -th.mean(entropy)",
        "entropy_loss = th.mean(entropy)",
        "loss",
        variant="a2c",
    ),
    Mutant("gradients_not_clipped", TRAIN, CLIP, "", "clipped_gradient", variant="a2c"),
    Mutant("rmsprop_eps_1e-8", INIT, "eps=rms_prop_eps", "eps=1e-8", "parameters"),
    Mutant("rmsprop_alpha_0-9", INIT, "alpha=0.99", "alpha=0.9", "parameters"),
    Mutant("adam_for_rmsprop", INIT, "if use_rms_prop and", "if False and", "parameters"),
    Mutant(
        "two_minibatches_per_update",
        TRAIN,
        "self.rollout_buffer.get(batch_size=None)",
        "self.rollout_buffer.get(batch_size=self.n_steps * self.n_envs // 2)",
        "minibatch",
        listed=False,
    ),
    Mutant(
        "gradients_divided_by_environments",
        TRAIN,
        CLIP,
        "        for parameter in self.policy.parameters():\n            parameter.grad /= self.n_envs\n" + CLIP,
        "clipped_gradient",
        note="several environments, and gradients that are not clipped, which hides their length",
        settings={"max_grad_norm": 100.0},
        listed=False,
    ),
    Mutant(
        "advantages_of_new_values",
        TRAIN,
        POLICY_LOSS,
        "policy_loss = -((rollout_data.returns - values) * log_prob).mean()",
        "gradient",
        note="the critic is moved by the policy's loss, as the values are not detached",
        listed=False,
    ),
)
