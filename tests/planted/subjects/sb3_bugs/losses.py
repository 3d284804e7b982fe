"""Bugs in the loss of a minibatch, and in the early stopping by KL."""

from __future__ import annotations

from tests.planted.subjects.mutation import Edit, Mutant

__all__ = ["MUTANTS"]

TRAIN = "PPO.train"
IF_NORMALISED = "if self.normalize_advantage and len(advantages) > 1:"
NORMALISED = "(advantages - advantages.mean()) / (advantages.std() + 1e-8)"
RATIO = "ratio = th.exp(log_prob - rollout_data.old_log_prob)"
CLAMP = "th.clamp(ratio, 1 - clip_range, 1 + clip_range)"
SECOND = f"policy_loss_2 = advantages * {CLAMP}"
POLICY_LOSS = "policy_loss = -th.min(policy_loss_1, policy_loss_2).mean()"
VALUES_PRED = (
    "values_pred = rollout_data.old_values + th.clamp(\n"
    "                    values - rollout_data.old_values, -clip_range_vf, clip_range_vf\n"
    "                )"
)
VALUE_LOSS = "value_loss = F.mse_loss(rollout_data.returns, values_pred)"
ENTROPY_LOSS = "entropy_loss = -th.mean(entropy)"
ENTROPY_TERM = "self.ent_coef * entropy_loss"
VALUE_TERM = "self.vf_coef * value_loss"
LOSS = f"loss = policy_loss + {ENTROPY_TERM} + {VALUE_TERM}"
STOP = "approx_kl_div > 1.5 * self.target_kl"
KL = "th.mean((th.exp(log_ratio) - 1) - log_ratio)"
STOPPED = "                continue_training = False\n"
CLIPPING = "ratios beyond the clip range"
VALUE_CLIPPING = "clip_range_vf, and values that moved further"
SWITCHES = "ManySwitches"
TARGET_KL = "a target_kl that is exceeded"


def value_losses(pairwise: str) -> str:
    """Return code for a value loss that takes the larger or smaller of both squared errors for each transition."""
    return (
        f"value_loss = th.{pairwise}((values - rollout_data.returns) ** 2, "
        "(values_pred - rollout_data.returns) ** 2).mean()"
    )


MUTANTS = (
    # normalisation of advantages
    Mutant("advantages_not_normalised", TRAIN, IF_NORMALISED, "if False:", "normalized_advantage"),
    Mutant("advantages_centred_only", TRAIN, NORMALISED, "advantages - advantages.mean()", "normalized_advantage"),
    Mutant(
        "advantages_scaled_only", TRAIN, NORMALISED, "advantages / (advantages.std() + 1e-8)", "normalized_advantage"
    ),
    Mutant(
        "advantage_std_biased",
        TRAIN,
        "advantages.std()",
        "advantages.std(unbiased=False)",
        "normalized_advantage",
    ),
    Mutant("advantage_eps_1e-5", TRAIN, "advantages.std() + 1e-8", "advantages.std() + 1e-5", "normalized_advantage"),
    Mutant(
        "advantage_eps_inside_sqrt",
        TRAIN,
        "(advantages.std() + 1e-8)",
        "th.sqrt(advantages.var() + 1e-8)",
        "surrogate",
        rounding=True,
    ),
    Mutant(
        "advantages_divided_by_variance",
        TRAIN,
        "advantages.std()",
        "advantages.var()",
        "normalized_advantage",
        listed=False,
    ),
    Mutant(
        "advantages_normalised_per_rollout",
        TRAIN,
        NORMALISED,
        "(advantages - self.rollout_buffer.advantages.mean()) / (self.rollout_buffer.advantages.std() + 1e-8)",
        "normalized_advantage",
    ),
    Mutant(
        "advantages_normalised_per_rollout_by_torch",
        TRAIN,
        NORMALISED,
        "(advantages - th.as_tensor(self.rollout_buffer.advantages).mean())"
        " / (th.as_tensor(self.rollout_buffer.advantages).std() + 1e-8)",
        "normalized_advantage",
    ),
    Mutant(
        "normalised_advantages_clipped",
        TRAIN,
        NORMALISED,
        f"({NORMALISED}).clamp(-2, 2)",
        "surrogate",
        listed=False,
    ),
    # policy objective
    Mutant("ratio_to_itself", TRAIN, RATIO, "ratio = th.exp(log_prob - log_prob.detach())", "surrogate"),
    Mutant("ratio_inverted", TRAIN, RATIO, "ratio = th.exp(rollout_data.old_log_prob - log_prob)", "gradient"),
    Mutant("ratio_without_exp", TRAIN, RATIO, "ratio = log_prob - rollout_data.old_log_prob", "surrogate"),
    Mutant("surrogate_is_maximum", TRAIN, POLICY_LOSS, POLICY_LOSS.replace("th.min", "th.max"), "surrogate"),
    Mutant("surrogate_always_clipped", TRAIN, POLICY_LOSS, "policy_loss = -policy_loss_2.mean()", "surrogate"),
    Mutant("surrogate_never_clipped", TRAIN, POLICY_LOSS, "policy_loss = -policy_loss_1.mean()", "surrogate"),
    Mutant("surrogate_clipped_above_only", TRAIN, CLAMP, "th.clamp(ratio, max=1 + clip_range)", "surrogate"),
    Mutant("surrogate_clipped_below_only", TRAIN, CLAMP, "th.clamp(ratio, min=1 - clip_range)", "surrogate"),
    Mutant("surrogate_clipped_reciprocally", TRAIN, "1 - clip_range,", "1 / (1 + clip_range),", "surrogate"),
    Mutant(
        "log_ratio_clipped",
        TRAIN,
        CLAMP,
        "th.exp(th.clamp(log_prob - rollout_data.old_log_prob, -clip_range, clip_range))",
        "surrogate",
    ),
    Mutant(
        "surrogate_product_clipped",
        TRAIN,
        SECOND,
        "policy_loss_2 = th.clamp(advantages * ratio, 1 - clip_range, 1 + clip_range)",
        "policy_loss",
        listed=False,
    ),
    Mutant(
        "surrogate_bounded_from_below",
        TRAIN,
        POLICY_LOSS,
        "policy_loss = -th.max(th.min(policy_loss_1, policy_loss_2), 0.5 * advantages).mean()",
        "policy_loss",
        note="the factor 0.5 is small enough to be reached",
        listed=False,
    ),
    Mutant(
        "surrogate_without_ratio",
        TRAIN,
        POLICY_LOSS,
        "policy_loss = -(advantages * log_prob).mean()",
        "surrogate",
    ),
    Mutant(
        "advantages_normalised_by_numpy",
        TRAIN,
        NORMALISED,
        "th.as_tensor((advantages.numpy() - advantages.numpy().mean()) / (advantages.numpy().std() + 1e-8))",
        "normalized_advantage",
    ),
    Mutant(
        "policy_loss_over_nominal_batch_size",
        TRAIN,
        POLICY_LOSS,
        "policy_loss = -th.min(policy_loss_1, policy_loss_2).sum() / self.batch_size",
        "policy_loss",
        note="a batch size that does not divide the rollout",
    ),
    Mutant(
        "surrogate_of_log_prob",
        TRAIN,
        "policy_loss_1 = advantages * ratio",
        "policy_loss_1 = advantages * log_prob",
        "surrogate",
        listed=False,
    ),
    Mutant(
        "surrogate_minimum_of_means",
        TRAIN,
        POLICY_LOSS,
        "policy_loss = -th.min(policy_loss_1.mean(), policy_loss_2.mean())",
        "surrogate",
        note=CLIPPING,
        listed=False,
    ),
    Mutant(
        "clipped_ratio_detached",
        TRAIN,
        CLAMP,
        "th.clamp(ratio.detach(), 1 - clip_range, 1 + clip_range)",
        "gradient",
        note="inside the clip range both terms are equal, and torch.min halves the gradient of each",
        listed=False,
    ),
    Mutant("policy_loss_positive", TRAIN, POLICY_LOSS, POLICY_LOSS.replace("-th", "th"), "gradient"),
    Mutant("policy_loss_summed", TRAIN, POLICY_LOSS, POLICY_LOSS.replace(".mean()", ".sum()"), "policy_loss"),
    Mutant(
        "positive_advantages_only",
        TRAIN,
        POLICY_LOSS,
        "policy_loss = -th.min(policy_loss_1, policy_loss_2)[advantages > 0].mean()",
        "policy_loss",
        listed=False,
    ),
    # value loss
    Mutant("value_loss_halved", TRAIN, VALUE_LOSS, VALUE_LOSS.replace("F.mse", "0.5 * F.mse"), "loss"),
    Mutant(
        "value_loss_summed",
        TRAIN,
        "rollout_data.returns, values_pred)",
        'rollout_data.returns, values_pred, reduction="sum")',
        "value_loss",
    ),
    Mutant("value_loss_huber", TRAIN, "F.mse_loss(", "F.smooth_l1_loss(", "value_loss"),
    Mutant("value_loss_root", TRAIN, VALUE_LOSS, f"{VALUE_LOSS}.sqrt()", "loss", listed=False),
    Mutant("value_clip_ignored", TRAIN, VALUES_PRED, "values_pred = values", "predicted_value", note=VALUE_CLIPPING),
    Mutant("value_clip_pessimistic", TRAIN, VALUE_LOSS, value_losses("max"), "value_loss", note=VALUE_CLIPPING),
    Mutant("value_clip_optimistic", TRAIN, VALUE_LOSS, value_losses("min"), "value_loss", note=VALUE_CLIPPING),
    Mutant(
        "value_clipped_around_returns",
        TRAIN,
        VALUES_PRED,
        "values_pred = rollout_data.returns + th.clamp(values - rollout_data.returns, -clip_range_vf, clip_range_vf)",
        "value_loss",
        listed=False,
    ),
    Mutant(
        "value_clipped_to_range",
        TRAIN,
        VALUES_PRED,
        "values_pred = th.clamp(values, -clip_range_vf, clip_range_vf)",
        "value_loss",
        listed=False,
    ),
    Mutant(
        "values_broadcast",
        TRAIN,
        "values = values.flatten()",
        "pass",
        "value_loss",
        note="[B, 1] is broadcast against [B]",
    ),
    Mutant(
        "value_loss_detached",
        TRAIN,
        "rollout_data.returns, values_pred)",
        "rollout_data.returns, values_pred.detach())",
        "gradient",
        SWITCHES,
        listed=False,
    ),
    Mutant(
        "value_loss_of_normalised_returns",
        TRAIN,
        VALUE_LOSS,
        "value_loss = F.mse_loss((rollout_data.returns - rollout_data.returns.mean())"
        " / (rollout_data.returns.std() + 1e-8), values_pred)",
        "value_loss",
        listed=False,
    ),
    Mutant(
        "value_target_is_advantage",
        TRAIN,
        "F.mse_loss(rollout_data.returns, ",
        "F.mse_loss(rollout_data.advantages, ",
        "value_loss",
        listed=False,
    ),
    Mutant(
        "value_target_of_normalised_advantages",
        TRAIN,
        "F.mse_loss(rollout_data.returns, ",
        "F.mse_loss(rollout_data.old_values + advantages, ",
        "value_loss",
        listed=False,
    ),
    Mutant("vf_coef_1", TRAIN, VALUE_TERM, "value_loss", "loss"),
    Mutant("vf_coef_always_0-5", TRAIN, VALUE_TERM, "0.5 * value_loss", "loss", note="a vf_coef other than 0.5"),
    # entropy
    Mutant("entropy_sign", TRAIN, ENTROPY_LOSS, "entropy_loss = th.mean(entropy)", "loss"),
    Mutant("entropy_zero", TRAIN, ENTROPY_LOSS, "entropy_loss = th.zeros(())", "entropy_loss"),
    Mutant("entropy_left_out", TRAIN, LOSS, f"loss = policy_loss + {VALUE_TERM}", "loss"),
    Mutant("entropy_added_twice", TRAIN, LOSS, f"{LOSS} + {ENTROPY_TERM}", "loss", listed=False),
    Mutant("ent_coef_1", TRAIN, LOSS, f"loss = policy_loss + entropy_loss + {VALUE_TERM}", "loss"),
    Mutant("entropy_of_sampled_actions", TRAIN, ENTROPY_LOSS, "entropy_loss = -th.mean(-log_prob)", "entropy_loss"),
    Mutant("entropy_summed", TRAIN, ENTROPY_LOSS, "entropy_loss = -th.sum(entropy)", "entropy_loss"),
    Mutant(
        "entropy_mean_over_dimensions",
        "DiagGaussianDistribution.entropy",
        "sum_independent_dims(self.distribution.entropy())",
        "self.distribution.entropy().mean(dim=1)",
        "entropy",
        note="2-D Box",
    ),
    Mutant(
        "entropy_mean_over_dimensions",
        "MultiCategoricalDistribution.entropy",
        ".sum(dim=1)",
        ".mean(dim=1)",
        "entropy",
        SWITCHES,
        "MultiDiscrete actions",
        variant="multidiscrete",
    ),
    Mutant(
        "entropy_of_first_dimension",
        "MultiCategoricalDistribution.entropy",
        "for dist in self.distribution]",
        "for dist in self.distribution[:1]]",
        "entropy",
        SWITCHES,
        "MultiDiscrete actions",
        listed=False,
    ),
    # total
    Mutant(
        "ent_coef_and_vf_coef_swapped",
        TRAIN,
        LOSS,
        "loss = policy_loss + self.vf_coef * entropy_loss + self.ent_coef * value_loss",
        "loss",
        listed=False,
    ),
    Mutant(
        "loss_weighted_by_minibatch_size",
        TRAIN,
        LOSS,
        f"loss = (policy_loss + {ENTROPY_TERM} + {VALUE_TERM}) * len(advantages) / self.batch_size",
        "loss",
        note="a batch size that does not divide the rollout",
        listed=False,
    ),
    Mutant(
        "loss_divided_by_epochs",
        TRAIN,
        LOSS,
        f"loss = (policy_loss + {ENTROPY_TERM} + {VALUE_TERM}) / self.n_epochs",
        "loss",
        note="a gradient norm below max_grad_norm, or Adam's eps",
        listed=False,
    ),
    Mutant(
        "new_values_of_actor_features",
        "ActorCriticPolicy.evaluate_actions",
        "values = self.value_net(latent_vf)",
        "values = self.value_net(latent_pi)",
        "new_value",
        listed=False,
    ),
    # early stopping
    Mutant("target_kl_ignored", TRAIN, STOP, "False", "gradient", SWITCHES, TARGET_KL),
    Mutant("kl_stop_without_factor", TRAIN, STOP, "approx_kl_div > self.target_kl", "gradient", SWITCHES, TARGET_KL),
    Mutant("kl_by_difference", TRAIN, KL, "th.mean(-log_ratio)", "gradient", SWITCHES, TARGET_KL),
    Mutant("kl_by_half_square", TRAIN, KL, "0.5 * th.mean(log_ratio**2)", "gradient", SWITCHES, TARGET_KL),
    Mutant("kl_stop_ends_epoch_only", TRAIN, STOPPED, "", "minibatch", SWITCHES, TARGET_KL),
    Mutant(
        "kl_stop_between_epochs",
        TRAIN,
        STOPPED,
        STOPPED + "            if False:\n",
        "gradient",
        SWITCHES,
        TARGET_KL,
    ),
    Mutant(
        "kl_averaged_over_epoch",
        TRAIN,
        STOP,
        "np.mean(approx_kl_divs) > 1.5 * self.target_kl",
        "gradient",
        SWITCHES,
        TARGET_KL,
        listed=False,
    ),
    Mutant(
        "kl_stop_after_step",
        TRAIN,
        "                break\n\n",
        "                pass\n\n",
        "gradient",
        SWITCHES,
        TARGET_KL,
        also=(
            Edit(
                TRAIN,
                "            self.policy.optimizer.step()\n",
                "            self.policy.optimizer.step()\n"
                "            if not continue_training:\n                break\n",
            ),
        ),
    ),
)
