"""The loss of a minibatch: advantages, ratio, surrogate, value, entropy, divergence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from custom_ppo import losses
from custom_ppo.config import value_at
from custom_ppo.recipe import Recipe
from harness.crosscheck.deviations.deviation import Deviation
from harness.crosscheck.deviations.surgery import (
    A2C_ONLY,
    PPO_ONLY,
    WALK,
    huang,
    parts,
    settings,
    wrap,
    wrap_engine,
)

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["LOSSES"]


# advantages


def _guarded(normalise: Callable[[Tensor], Tensor]) -> Callable[[Recipe], Recipe]:
    """Recipe: advantages are normalised like this where there are at least two."""
    return parts(normalize_advantages=lambda advantages: normalise(advantages) if len(advantages) > 1 else advantages)


def _unguarded(model: CustomPPO) -> None:
    def normalise(advantages: Tensor) -> Tensor:
        return (advantages - advantages.mean()) / (advantages.std() + 1e-8)

    def record(original: Callable[..., None], report: Any, terms: Any) -> None:
        # SB3 trains on with NaN where CustomPPO stops.
        try:
            original(report, terms)
        except ArithmeticError:
            return

    model.agent.recipe = model.agent.recipe.replace(normalize_advantages=normalise)
    wrap(model.agent, "_record", record)


def _by_numpy(advantages: Tensor) -> Tensor:
    array = advantages.cpu().numpy()
    return torch.as_tensor((array - array.mean()) / (array.std() + 1e-8), device=advantages.device)


# ratio and surrogate

Objective = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def _surrogate(of: Callable[[Tensor, Tensor, float], Tensor]) -> Objective:
    """The objective is of(ratio, advantages, clip_range)."""

    def objective(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
        return of(torch.exp(log_prob - old_log_prob), advantages, clip_range)

    return objective


def _of_ratio(of: Callable[[Tensor, Tensor], Tensor]) -> Objective:
    """SB3's objective, of another ratio: of(log_prob, old_log_prob)."""

    def objective(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
        return _clipped(of(log_prob, old_log_prob), advantages, clip_range)

    return objective


def _clipped(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return torch.min(advantages * ratio, advantages * torch.clamp(ratio, 1 - clip_range, 1 + clip_range))


def _larger(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return torch.max(advantages * ratio, advantages * torch.clamp(ratio, 1 - clip_range, 1 + clip_range))


def _clipped_only(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return advantages * torch.clamp(ratio, 1 - clip_range, 1 + clip_range)


def _unclipped(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return advantages * ratio


def _clipped_above(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return torch.min(advantages * ratio, advantages * torch.clamp(ratio, max=1 + clip_range))


def _clipped_below(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return torch.min(advantages * ratio, advantages * torch.clamp(ratio, min=1 - clip_range))


def _clipped_reciprocally(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    clipped = torch.clamp(ratio, 1 / (1 + clip_range), 1 + clip_range)
    return torch.min(advantages * ratio, advantages * clipped)


def _dual(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    surrogate = _clipped(ratio, advantages, clip_range)
    return torch.where(advantages < 0, torch.max(surrogate, 3.0 * advantages), surrogate)


def _dual_everywhere(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    return torch.max(_clipped(ratio, advantages, clip_range), 3.0 * advantages)


def _own_log_prob(model: CustomPPO) -> None:
    def forward(original: Callable[..., Any], batch: Any, *rest: Any) -> Any:
        with torch.no_grad():
            _, log_prob, _ = model.policy.evaluate_actions(batch.observations, batch.actions)
        return original(replace(batch, old_log_prob=log_prob), *rest)

    wrap_engine(model, "forward", forward)


def _over_nominal_size(model: CustomPPO) -> None:
    agent = model.agent
    agent.recipe = agent.recipe.replace(
        policy_loss=lambda objective: -objective.sum() / (agent.config.batch_size or len(objective))
    )


# value


def _halved_value_loss(recipe: Recipe) -> Recipe:
    return recipe.replace(value_loss=lambda returns, values: 0.5 * recipe.value_loss(returns, values))


def _summed_value_loss(returns: Tensor, values: Tensor) -> Tensor:
    return functional.mse_loss(returns, values, reduction="sum")


def _written_out(returns: Tensor, values: Tensor) -> Tensor:
    return ((returns - values) ** 2).mean()


def _worse_of_both(choose: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Recipe], Recipe]:
    """Recipe: the squared error of the value, or of its clipped self, whichever is chosen, for each transition."""

    def deviating(recipe: Recipe) -> Recipe:
        free: list[Tensor] = []

        def clip_values(values: Tensor, old_values: Tensor, clip_range_vf: float, returns: Tensor) -> Tensor:
            free[:] = [values]
            return recipe.clip_values(values, old_values, clip_range_vf, returns)

        def value_loss(returns: Tensor, values: Tensor) -> Tensor:
            if not free:  # clip_range_vf is None
                return recipe.value_loss(returns, values)
            return choose((free.pop() - returns) ** 2, (values - returns) ** 2).mean()

        return recipe.replace(clip_values=clip_values, value_loss=value_loss)

    return deviating


def _broadcast_values(recipe: Recipe) -> Recipe:
    def clip_values(values: Tensor, old_values: Tensor, clip_range_vf: float, returns: Tensor) -> Tensor:
        return recipe.clip_values(values.unsqueeze(1), old_values, clip_range_vf, returns)  # [B, B]

    def value_loss(returns: Tensor, values: Tensor) -> Tensor:
        columns = values if values.ndim > 1 else values.unsqueeze(1)
        return recipe.value_loss(returns.expand(len(columns), -1), columns.expand(-1, len(returns)))

    return recipe.replace(clip_values=clip_values, value_loss=value_loss)


# entropy


def _opposite_entropy(recipe: Recipe) -> Recipe:
    return recipe.replace(entropy_loss=lambda entropy, log_prob: -recipe.entropy_loss(entropy, log_prob))


def _estimated_entropy(recipe: Recipe) -> Recipe:
    return recipe.replace(entropy_loss=lambda _, log_prob: recipe.entropy_loss(None, log_prob))


# divergence


def _kl_estimated_by(estimate: Callable[[Tensor], Tensor]) -> Callable[[CustomPPO], None]:
    """Surgery: the divergence is the mean of estimate(log_prob - old_log_prob)."""

    def surgery(model: CustomPPO) -> None:
        def forward(original: Callable[..., Any], batch: Any, *rest: Any) -> Any:
            terms = original(batch, *rest)
            with torch.no_grad():
                _, log_prob, _ = model.policy.evaluate_actions(batch.observations, batch.actions)
                return replace(terms, approx_kl=estimate(log_prob - batch.old_log_prob).mean())

        wrap_engine(model, "forward", forward)

    return surgery


class _Stop(Exception):  # noqa: N818 - no error: the update has ended
    """Ends an update."""


def _stopping_after_step(model: CustomPPO) -> None:
    def learn(original: Callable[..., None], batch: Any, report: Any) -> None:
        agent = model.agent
        recipe, exceeded = agent.recipe, [False]

        def stop_early(approx_kl: Any, target_kl: float) -> bool:
            exceeded[0] = recipe.stop_early(approx_kl, target_kl)
            return False

        def descend(step: Callable[..., None], config: Any) -> None:
            step(config)
            if exceeded[0]:
                agent._show("step")
                raise _Stop

        agent.recipe = recipe.replace(stop_early=stop_early)
        wrap(agent.engine, "descend", descend)
        try:
            original(batch, report)
        except _Stop:
            report.stopped_early = True
        finally:
            agent.recipe = recipe

    wrap(model.agent, "_learn_from", learn)


def _stopping_between_epochs(model: CustomPPO) -> None:
    def learn(original: Callable[..., None], batch: Any, report: Any) -> None:
        agent = model.agent
        recipe, exceeded = agent.recipe, [False]
        kls: list[Any] = []

        def stop_early(approx_kl: Any, target_kl: float) -> bool:
            kls.append(approx_kl)
            exceeded[0] = recipe.stop_early(approx_kl, target_kl)
            return False

        def order(n: int) -> Any:
            if exceeded[0]:
                raise _Stop
            kls.clear()
            return recipe.minibatch_order(n)

        agent.recipe = recipe.replace(stop_early=stop_early, minibatch_order=order)
        try:
            original(batch, report)
        except _Stop:
            report.stopped_early = True
            # The epoch that was begun does not count; the report keeps what it had of the one before.
            report.n_epochs, report.approx_kls = report.n_epochs - 1, list(kls)
        finally:
            agent.recipe = recipe

    wrap(model.agent, "_learn_from", learn)


def _stopping_epoch_only(model: CustomPPO) -> None:
    def learn(original: Callable[..., None], batch: Any, report: Any) -> None:
        agent = model.agent
        config = agent.config
        agent.config = replace(config, n_epochs=1)
        try:
            for _ in range(config.n_epochs):
                original(batch, report)
        finally:
            agent.config = config

    wrap(model.agent, "_learn_from", learn)


LOSSES: tuple[Deviation, ...] = (
    Deviation(
        id="advantages_not_normalised",
        description="Advantages are taken as they are",
        stage="normalized_advantage",
        source="NVIDIA/TorchFort#38",
        remedy="Normalise the advantages of every minibatch",
        shows="normalize_advantage",
        settings=settings(normalize_advantage=False),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="advantages_normalised",
        description="A2C normalises its advantages",
        stage="normalized_advantage",
        source="Huang et al. 2022, arXiv 2205.09123",
        remedy="Leave normalize_advantage=False for A2C",
        settings=settings(normalize_advantage=True),
        algorithms=A2C_ONLY,
    ),
    Deviation(
        id="advantages_centred_only",
        description="Of the advantages the mean is taken out, but not the deviation",
        stage="normalized_advantage",
        source=WALK,
        remedy="Divide the centred advantages by their deviation + 1e-8",
        shows="normalize_advantage",
        recipe=_guarded(lambda advantages: advantages - advantages.mean()),
    ),
    Deviation(
        id="advantages_scaled_only",
        description="Advantages are divided by their deviation, but the mean is left in",
        stage="normalized_advantage",
        source=WALK,
        remedy="Take out the mean of the advantages, too",
        shows="normalize_advantage",
        recipe=_guarded(lambda advantages: advantages / (advantages.std() + 1e-8)),
    ),
    Deviation(
        id="advantage_std_biased",
        description="Advantages are normalised by the biased deviation: std(unbiased=False)",
        stage="normalized_advantage",
        source="pytorch/rl#2049",
        remedy="Normalise by the unbiased deviation: torch.std as it is",
        shows="normalize_advantage",
        recipe=_guarded(lambda advantages: (advantages - advantages.mean()) / (advantages.std(unbiased=False) + 1e-8)),
    ),
    Deviation(
        id="advantages_normalised_by_numpy",
        description="The advantages of a minibatch are normalised by NumPy, whose deviation is biased",
        stage="normalized_advantage",
        source="openai/baselines, ppo2",
        remedy="Normalise by torch's mean and unbiased std",
        shows="normalize_advantage",
        recipe=_guarded(_by_numpy),
    ),
    Deviation(
        id="advantage_eps_1e-5",
        description="Advantages are divided by their deviation + 1e-5 instead of 1e-8",
        stage="normalized_advantage",
        source="alexis-jacq/Pytorch-DPPO#5",
        remedy="Add 1e-8 to the deviation",
        shows="normalize_advantage",
        recipe=_guarded(lambda advantages: (advantages - advantages.mean()) / (advantages.std() + 1e-5)),
    ),
    Deviation(
        id="advantage_eps_inside_sqrt",
        description="Advantages are divided by sqrt(variance + 1e-8)",
        stage="normalized_advantage",
        source=WALK,
        remedy="Divide by the deviation + 1e-8",
        shows="normalize_advantage",
        recipe=_guarded(lambda advantages: (advantages - advantages.mean()) / torch.sqrt(advantages.var() + 1e-8)),
    ),
    Deviation(
        id="single_advantage_normalised",
        description="A minibatch of one transition is normalised, too, which makes its advantage NaN",
        stage="normalized_advantage",
        source="DLR-RM/stable-baselines3#325",
        remedy="Leave the advantage of a minibatch of one as it is",
        shows="normalize_advantage and a last minibatch of one transition",
        surgery=_unguarded,
    ),
    Deviation(
        id="old_log_prob_is_current",
        description="The ratio is taken to the policy itself, so that it is always 1 and never clipped",
        stage="old_log_prob",
        source="higgsfield-ai/higgsfield#20",
        remedy="Take the ratio to the log-probability that was stored while acting",
        shows="more than one minibatch; rounding in the first",
        surgery=_own_log_prob,
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="ratio_without_exp",
        description="The ratio is the difference of the log-probabilities, without exp",
        stage="ratio",
        source=WALK,
        remedy="Take exp of the difference of the log-probabilities",
        recipe=parts(policy_objective=_of_ratio(lambda new, old: new - old)),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="ratio_inverted",
        description="The ratio is old over new",
        stage="ratio",
        source=WALK,
        remedy="Take exp(new log_prob - old log_prob)",
        recipe=parts(policy_objective=_of_ratio(lambda new, old: torch.exp(old - new))),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="ratio_of_probabilities",
        description="The ratio is exp(new) / exp(old) instead of exp(new - old); differs by rounding only",
        stage="ratio",
        source="nikhilbarhate99/PPO-PyTorch#23",
        remedy="Take exp of the difference, which does not overflow",
        recipe=parts(policy_objective=_of_ratio(lambda new, old: torch.exp(new) / torch.exp(old))),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="surrogate_is_maximum",
        description="Of the clipped and the free surrogate the larger one is taken",
        stage="surrogate",
        source="openai/baselines#1156",
        remedy="Take the smaller one: torch.min of the objectives, or torch.max of the losses",
        shows="a ratio beyond the clip range",
        recipe=parts(policy_objective=_surrogate(_larger)),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="surrogate_always_clipped",
        description="The clipped surrogate stands alone, without the minimum with the free one",
        stage="surrogate",
        source=huang("core detail 8"),
        remedy="Take the minimum of the clipped and the free surrogate",
        shows="a ratio beyond the clip range",
        recipe=parts(policy_objective=_surrogate(_clipped_only)),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="surrogate_never_clipped",
        description="The free surrogate stands alone: ratio * advantage",
        stage="surrogate",
        source="openai/baselines#1156",
        remedy="Take the minimum of the clipped and the free surrogate",
        shows="a ratio beyond the clip range",
        recipe=parts(policy_objective=_surrogate(_unclipped)),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="surrogate_clipped_above_only",
        description="The ratio is clipped at 1 + clip_range, but not at 1 - clip_range",
        stage="surrogate",
        source=WALK,
        remedy="Clip the ratio to [1 - clip_range, 1 + clip_range]",
        shows="a ratio below the clip range",
        recipe=parts(policy_objective=_surrogate(_clipped_above)),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="surrogate_clipped_below_only",
        description="The ratio is clipped at 1 - clip_range, but not at 1 + clip_range",
        stage="surrogate",
        source=WALK,
        remedy="Clip the ratio to [1 - clip_range, 1 + clip_range]",
        shows="a ratio above the clip range",
        recipe=parts(policy_objective=_surrogate(_clipped_below)),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="surrogate_clipped_reciprocally",
        description="The ratio is clipped to [1 / (1 + clip_range), 1 + clip_range]",
        stage="surrogate",
        source=WALK,
        remedy="Clip the ratio to [1 - clip_range, 1 + clip_range]",
        shows="a ratio below the clip range",
        recipe=parts(policy_objective=_surrogate(_clipped_reciprocally)),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="dual_clip",
        description="For negative advantages the surrogate is bounded from below by 3 * A",
        stage="surrogate",
        source="Ye et al. 2020, arXiv 1912.09729",
        remedy="Leave the surrogate unbounded where the advantage is negative",
        shows="a ratio above 3 with a negative advantage",
        recipe=parts(policy_objective=_surrogate(_dual)),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="dual_clip_for_all_advantages",
        description="The surrogate is bounded from below by 3 * A for positive advantages, too",
        stage="surrogate",
        source="thu-ml/tianshou#433",
        remedy="Bound it for negative advantages only, or not at all, as SB3",
        recipe=parts(policy_objective=_surrogate(_dual_everywhere)),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="surrogate_without_ratio",
        description="The objective is A * log pi(a|s), as in A2C, in all epochs",
        stage="surrogate",
        source="Huang et al. 2022, arXiv 2205.09123",
        remedy="Use the ratio to the policy of acting time",
        recipe=parts(policy_objective=losses.log_prob_surrogate),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="clip_range_always_0-2",
        description="The clip range is 0.2, whatever was asked for",
        stage="surrogate",
        source=WALK,
        remedy="Use the clip_range that was asked for",
        shows="another clip_range, and a ratio beyond one of the two",
        settings=settings(clip_range=0.2),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="clip_range_not_annealed",
        description="The clip range stays at what its schedule gives at the start",
        stage="surrogate",
        source="Huang et al. 2022, The 37 Implementation Details of PPO, auxiliary detail 1",
        remedy="Ask the schedule of clip_range in every update",
        shows="a schedule for clip_range, and a ratio beyond the clip range",
        settings=lambda given: {"clip_range": value_at(given["clip_range"], 1.0)},
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="policy_loss_positive",
        description="The surrogate is minimised instead of maximised",
        stage="policy_loss",
        source="ray-project/ray#29056",
        remedy="Minimise minus the surrogate",
        recipe=parts(policy_loss=lambda objective: objective.mean()),
    ),
    Deviation(
        id="policy_loss_summed",
        description="The policy's loss is the sum over the minibatch instead of the mean",
        stage="policy_loss",
        source=WALK,
        remedy="Take the mean over the minibatch",
        recipe=parts(policy_loss=lambda objective: -objective.sum()),
    ),
    Deviation(
        id="policy_loss_over_nominal_batch_size",
        description="The policy's loss is the sum divided by batch_size, also for a smaller last minibatch",
        stage="policy_loss",
        source=WALK,
        remedy="Take the mean over the minibatch",
        shows="a batch_size that does not divide n_steps * n_envs",
        surgery=_over_nominal_size,
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="value_loss_halved",
        description="The value loss has a factor of one half",
        stage="value_loss",
        source="openai/baselines#372",
        remedy="Take the mean squared error without 1/2, or double vf_coef",
        recipe=_halved_value_loss,
    ),
    Deviation(
        id="value_loss_summed",
        description="The value loss is the sum over the minibatch instead of the mean",
        stage="value_loss",
        source=WALK,
        remedy="Take the mean over the minibatch",
        recipe=parts(value_loss=_summed_value_loss),
    ),
    Deviation(
        id="value_loss_huber",
        description="The value loss is smooth_l1_loss (Huber) instead of the squared error",
        stage="value_loss",
        source="Andrychowicz et al. 2021, arXiv 2006.05990",
        remedy="Take the mean squared error: functional.mse_loss",
        recipe=parts(value_loss=functional.smooth_l1_loss),
    ),
    Deviation(
        id="value_loss_written_out",
        description="The value loss is ((returns - values) ** 2).mean() instead of mse_loss; differs by rounding only",
        stage="value_loss",
        source=WALK,
        remedy="Use functional.mse_loss, or accept the rounding of its gradient",
        recipe=parts(value_loss=_written_out),
    ),
    Deviation(
        id="value_clip_pessimistic",
        description="The value loss is the larger of the clipped and the free squared error",
        stage="value_loss",
        source=huang("core detail 9"),
        remedy="Take the error of the clipped value alone",
        shows="clip_range_vf, and a value that moved by more",
        recipe=_worse_of_both(torch.max),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="value_clip_optimistic",
        description="The value loss is the smaller of the clipped and the free squared error",
        stage="value_loss",
        source="RLlib's PPO, earlier versions",
        remedy="Take the error of the clipped value alone",
        shows="clip_range_vf, and a value that moved by more",
        recipe=_worse_of_both(torch.min),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="value_clip_ignored",
        description="Values are not clipped, whatever clip_range_vf says",
        stage="predicted_value",
        source=WALK,
        remedy="Clip the value's change to clip_range_vf",
        shows="clip_range_vf, and a value that moved by more",
        settings=settings(clip_range_vf=None),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="value_clipped_by_clip_range",
        description="Values are clipped by clip_range where clip_range_vf is None",
        stage="predicted_value",
        source="vwxyzjn/cleanrl, ppo.py",
        remedy="Leave values free where clip_range_vf is None",
        shows="clip_range_vf=None, and a value that moved by more than clip_range",
        settings=lambda given: {"clip_range_vf": given["clip_range_vf"] or given["clip_range"]},
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="values_broadcast",
        description="Values [B, 1] meet returns [B], so that every value is held against every return",
        stage="predicted_value",
        source="pytorch/pytorch#16045",
        remedy="Flatten the values to [B]",
        shows="more than one transition in a minibatch",
        recipe=_broadcast_values,
    ),
    Deviation(
        id="vf_coef_1",
        description="The value loss is added with weight 1, without vf_coef",
        stage="loss",
        source="google/brax#596",
        remedy="Multiply the value loss by vf_coef",
        shows="another vf_coef",
        settings=settings(vf_coef=1.0),
    ),
    Deviation(
        id="vf_coef_always_0-5",
        description="The value loss has weight 0.5, whatever was asked for",
        stage="loss",
        source=WALK,
        remedy="Use the vf_coef that was asked for",
        shows="another vf_coef",
        settings=settings(vf_coef=0.5),
    ),
    Deviation(
        id="entropy_sign",
        description="The entropy is minimised instead of maximised",
        stage="entropy_loss",
        source="LuEE-C/PPO-Keras#4",
        remedy="Subtract ent_coef * entropy from the loss",
        shows="ent_coef > 0, for training to change",
        recipe=_opposite_entropy,
    ),
    Deviation(
        id="entropy_of_sampled_actions",
        description="The entropy is estimated by -log pi of the actions that were done",
        stage="entropy_loss",
        source="DLR-RM/stable-baselines3#127",
        remedy="Take the distribution's entropy where it has a closed form",
        shows="ent_coef > 0, for training to change",
        recipe=_estimated_entropy,
    ),
    Deviation(
        id="entropy_summed",
        description="The entropy is summed over the minibatch",
        stage="entropy_loss",
        source=WALK,
        remedy="Take the mean over the minibatch",
        shows="ent_coef > 0, for training to change",
        recipe=parts(entropy_loss=lambda entropy, log_prob: -(-log_prob if entropy is None else entropy).sum()),
    ),
    Deviation(
        id="entropy_left_out",
        description="The entropy is logged, but not a part of the loss",
        stage="loss",
        source="noahfarr/rlx#3",
        remedy="Add ent_coef * entropy_loss to the loss",
        shows="ent_coef > 0",
        settings=settings(ent_coef=0.0),
    ),
    Deviation(
        id="target_kl_ignored",
        description="An update makes all its epochs, whatever target_kl says",
        stage="gradient",
        source=WALK,
        remedy="End the update when approx_kl > 1.5 * target_kl",
        shows="a target_kl that is exceeded",
        settings=settings(target_kl=None),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="kl_stop_without_factor",
        description="An update ends when approx_kl > target_kl, without the factor 1.5",
        stage="gradient",
        source="vwxyzjn/cleanrl#520",
        remedy="End the update when approx_kl > 1.5 * target_kl",
        shows="a target_kl that is exceeded",
        recipe=parts(stop_early=lambda approx_kl, target_kl: bool(approx_kl > target_kl)),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="kl_stop_after_step",
        description="The divergence is looked at after the step, so that the step that it should prevent is made",
        stage="gradient",
        source="DLR-RM/stable-baselines3#419",
        remedy="Look at the divergence before the step",
        shows="a target_kl that is exceeded",
        surgery=_stopping_after_step,
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="kl_stop_between_epochs",
        description="The divergence of the last minibatch is looked at when an epoch is over",
        stage="gradient",
        source="vwxyzjn/cleanrl, ppo.py",
        remedy="Look at the divergence of every minibatch before its step",
        shows="a target_kl that is exceeded",
        surgery=_stopping_between_epochs,
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="kl_stop_ends_epoch_only",
        description="When the divergence is too large the epoch ends, and the next one begins",
        stage="minibatch",
        source="openai/spinningup#137",
        remedy="End the update, not the epoch",
        shows="a target_kl that is exceeded before the last epoch",
        surgery=_stopping_epoch_only,
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="kl_by_difference",
        description="The divergence is estimated by the mean of old minus new log-probabilities, which may be negative",
        stage="gradient",
        source="DLR-RM/stable-baselines3#417",
        remedy="Estimate it by the mean of (ratio - 1) - log ratio",
        shows="a target_kl that one of the two estimates exceeds",
        surgery=_kl_estimated_by(lambda log_ratio: -log_ratio),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="kl_by_half_square",
        description="The divergence is estimated by half the mean square of the log ratio",
        stage="gradient",
        source="openai/baselines, ppo2 (approxkl)",
        remedy="Estimate it by the mean of (ratio - 1) - log ratio",
        shows="a target_kl that one of the two estimates exceeds",
        surgery=_kl_estimated_by(lambda log_ratio: 0.5 * log_ratio**2),
        algorithms=PPO_ONLY,
    ),
)
