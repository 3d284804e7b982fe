"""Mistakes in the policy: distributions, log-probabilities, entropies, exploration noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional

from custom_ppo.distributions import Categorical, DiagGaussian, MultiCategorical, StateDependentGaussian
from harness.catalogue.components import (
    SEVERAL,
    entropy_with_std,
    log_prob_squashed_with_std,
    log_prob_with_std,
    of_entropies,
    of_log_probs,
    with_std,
)
from harness.catalogue.deviation import Deviation
from harness.catalogue.patching import (
    WALK,
    Patch,
    action_dimensions,
    with_settings,
    wrap,
    wrap_engine,
)

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["POLICIES"]


def _actor_output(change: Callable[[Tensor, Any], Tensor], *kinds: type[spaces.Space[Any]]) -> Patch:
    """Return a patch that changes the output of the actor's last layer, for action spaces of these kinds."""

    def patch(model: CustomPPO) -> None:
        if isinstance(model.action_space, kinds):
            layer = model.policy.action_net
            wrap(layer, "forward", lambda original, latent: change(original(latent), model.action_space))

    return patch


def _softmax(logits: Tensor, nvec: Sequence[int] | None = None) -> Tensor:
    if nvec is None:
        return torch.softmax(logits, dim=-1)
    return torch.cat([torch.softmax(part, dim=-1) for part in torch.split(logits, list(nvec), dim=1)], dim=1)


def _softmax_of_space(logits: Tensor, space: Any) -> Tensor:
    return _softmax(logits, None if isinstance(space, spaces.Discrete) else space.nvec.tolist())


_SOFTMAX_TWICE = {
    "categorical": lambda logits, actions: Categorical(_softmax(logits)).log_prob(actions),
    "multi_categorical": lambda logits, nvec, actions: MultiCategorical(_softmax(logits, nvec), nvec).log_prob(actions),
}


def _std_of_log_variance(log_std: Tensor) -> Tensor:
    return (0.5 * log_std).exp()


def _std(of_log_std: Callable[[Tensor], Tensor]) -> Patch:
    """Return a patch that makes the standard deviation of a Gaussian policy another function of log_std."""

    def patch(model: CustomPPO) -> None:
        def distribution(original: Callable[[Tensor], Any], latent_pi: Tensor) -> Any:
            found = original(latent_pi)
            return with_std(found, of_log_std(model.policy.log_std)) if isinstance(found, DiagGaussian) else found

        wrap(model.policy, "_distribution", distribution)

    return patch


def _mean(total: Tensor, n: int) -> Tensor:
    """Return the mean of n components from their sum."""
    return total / n


def _mean_over_dimensions(model: CustomPPO) -> None:
    n = action_dimensions(model.action_space)

    def forward(original: Callable[..., Any], obs: Any, deterministic: bool = False) -> Any:
        actions, values, log_prob = original(obs, deterministic)
        return actions, values, _mean(log_prob, n)

    wrap(model.policy, "forward", forward)
    _mean_while_learning(model)


def _mean_while_learning(model: CustomPPO) -> None:
    n = action_dimensions(model.action_space)

    def evaluate(original: Callable[..., Any], obs: Any, actions: Tensor) -> Any:
        values, log_prob, entropy = original(obs, actions)
        return values, _mean(log_prob, n), entropy

    wrap(model.policy, "evaluate_actions", evaluate)


def _new_log_prob(of: Callable[[CustomPPO, Callable[..., Any], Any, Tensor], Any]) -> Patch:
    """Return a patch that replaces `evaluate_actions` in the update, for Box actions.

    of: from (model, original, observations, actions) to values, log-probabilities and entropies.
    """

    def patch(model: CustomPPO) -> None:
        if isinstance(model.action_space, spaces.Box):
            wrap(model.policy, "evaluate_actions", lambda *given: of(model, *given))

    return patch


def _of_clipped(model: CustomPPO, original: Callable[..., Any], obs: Any, actions: Tensor) -> Any:
    return original(obs, _clipped_sample(model, None, actions))


def _squash_correction(actions: Tensor) -> Tensor:
    """Return the logarithm of the derivative of tanh at the actions, [B]."""
    return torch.log(1 - torch.tanh(actions) ** 2 + 1e-6).sum(dim=1)


def _log_prob_with_tanh_correction(mean: Tensor, log_std: Tensor, actions: Tensor) -> Tensor:
    return DiagGaussian(mean, log_std).log_prob(actions) - _squash_correction(actions)


def _log_prob_of_squashed_mean(mean: Tensor, log_std: Tensor, actions: Tensor) -> Tensor:
    return DiagGaussian(torch.tanh(mean), log_std).log_prob(actions)


def _tanh_corrected(model: CustomPPO, original: Callable[..., Any], obs: Any, actions: Tensor) -> Any:
    values, log_prob, entropy = original(obs, actions)
    return values, log_prob - _squash_correction(actions), entropy


def _mean_entropy(model: CustomPPO) -> None:
    n = action_dimensions(model.action_space)

    def evaluate(original: Callable[..., Any], obs: Any, actions: Tensor) -> Any:
        values, log_prob, entropy = original(obs, actions)
        return values, log_prob, None if entropy is None else _mean(entropy, n)

    wrap(model.policy, "evaluate_actions", evaluate)


def _greedy(model: CustomPPO) -> None:
    wrap(model.policy, "forward", lambda original, obs, deterministic=False: original(obs, True))


def _acting_log_prob(of: Callable[[CustomPPO, Any, Tensor], Tensor]) -> Patch:
    """Return a patch that stores the log-probability of another action: of(model, distribution, sample)."""

    def patch(model: CustomPPO) -> None:
        def forward(original: Callable[..., Any], obs: Any, deterministic: bool = False) -> Any:
            actions, values, _ = original(obs, deterministic)
            distribution = model.policy.get_distribution(obs)
            return actions, values, distribution.log_prob(of(model, distribution, actions))

        wrap(model.policy, "forward", forward)

    return patch


def _second_sample(model: CustomPPO, distribution: Any, actions: Tensor) -> Tensor:
    return distribution.sample()  # type: ignore[no-any-return]


def _clipped_sample(model: CustomPPO, distribution: Any, actions: Tensor) -> Tensor:
    space = model.action_space
    if not isinstance(space, spaces.Box):
        return actions
    low, high = (torch.as_tensor(bound, device=actions.device) for bound in (space.low, space.high))
    return torch.clamp(actions, low, high).reshape(len(actions), -1)


def _noise_drawn_while_learning(model: CustomPPO) -> None:
    def forward(original: Callable[..., Any], batch: Any, config: Any, *rest: Any) -> Any:
        if model.use_sde:
            model.policy.reset_noise(config.batch_size or len(batch))
        return original(batch, config, *rest)

    wrap_engine(model, "forward", forward)


def _noise_teaches_features(model: CustomPPO) -> None:
    noise = model.policy.sde
    if noise is None:
        return

    def distribution(original: Callable[..., Any], mean: Tensor, log_std: Tensor, features: Tensor) -> Any:
        variance = torch.mm(features**2, noise.std(log_std) ** 2)
        return StateDependentGaussian(noise, mean, torch.sqrt(variance + noise._EPSILON), features)

    wrap(noise, "distribution", distribution)


POLICIES: tuple[Deviation, ...] = (
    Deviation(
        id="greedy_actions",
        description="Rollouts are collected with the most likely action instead of a sample",
        stage="action",
        source="openai/spinningup#181",
        remedy="Sample the action while training; take the mode only to evaluate",
        patch=_greedy,
    ),
    Deviation(
        id="log_prob_of_second_sample",
        description="The stored log-probability is that of a second sample, not of the sampled action",
        stage="log_prob",
        source="liber145/rlpack#5",
        remedy="Sample once, and compute the log-probability of that action",
        patch=_acting_log_prob(_second_sample),
    ),
    Deviation(
        id="log_prob_of_clipped_action",
        description="The stored log-probability is that of the clipped action; the stored action is the sample",
        stage="log_prob",
        source="vwxyzjn/cleanrl#240",
        remedy="Compute the log-probability of the sample before it is clipped to the bounds",
        shows="Box actions and a sample outside the bounds",
        patch=_acting_log_prob(_clipped_sample),
    ),
    Deviation(
        id="new_log_prob_of_clipped_action",
        description="The update takes the log-probability of the clipped action, the rollout that of the sample",
        stage="new_log_prob",
        source="thu-ml/tianshou#312",
        remedy="Compute the log-probability of the sample before it is clipped to the bounds, in both places",
        shows="Box actions and a sample outside the bounds",
        patch=_new_log_prob(_of_clipped),
    ),
    Deviation(
        id="tanh_correction_while_learning",
        description="The update subtracts log(1 - tanh(a)^2) from the log-probability, as if actions were squashed",
        stage="new_log_prob",
        source="automl/Mighty#118",
        remedy="Correct the density in rollout and update if the policy is squashed, otherwise in neither",
        shows="Box actions",
        patch=_new_log_prob(_tanh_corrected),
        hints={"log_prob": "sum log(1 - tanh(a)^2) is subtracted, as if actions were squashed"},
        formulas={"log_prob": {"diag_gaussian": _log_prob_with_tanh_correction}},
    ),
    Deviation(
        id="log_prob_mean_over_dimensions",
        description="The log-probability of an action is the mean over its dimensions instead of their sum",
        stage="log_prob",
        source="JuliaReinforcementLearning/ReinforcementLearningZoo.jl#169",
        remedy="Sum the log-probabilities over the action dimensions",
        shows="more than one action dimension",
        patch=_mean_over_dimensions,
        hints={"log_prob": "the mean over the components of an action instead of their sum"},
        formulas={"log_prob": of_log_probs(SEVERAL, lambda parts: _mean(parts.sum(dim=1), parts.shape[1]))},
    ),
    Deviation(
        id="log_prob_mean_while_learning",
        description="The log-probability is a sum over action dimensions in the rollout, and their mean in the update",
        stage="new_log_prob",
        source="AI4Finance-Foundation/ElegantRL#273",
        remedy="Sum the log-probabilities over the action dimensions in rollout and update",
        shows="more than one action dimension",
        patch=_mean_while_learning,
    ),
    Deviation(
        id="entropy_mean_over_dimensions",
        description="The entropy is the mean over the action's dimensions instead of their sum",
        stage="entropy",
        source="Toni-SM/skrl#434",
        remedy="Sum the entropies over the action dimensions",
        shows="more than one action dimension; training changes only with ent_coef > 0",
        patch=_mean_entropy,
        hints={"entropy": "the mean over the components of an action instead of their sum"},
        formulas={"entropy": of_entropies(SEVERAL, lambda parts: _mean(parts.sum(dim=1), parts.shape[1]))},
    ),
    Deviation(
        id="log_std_is_log_variance",
        description="The standard deviation is exp(log_std / 2), as if the parameter were the log variance",
        stage="gradient",
        source="hill-a/stable-baselines#1060",
        remedy="Take exp(log_std) as the standard deviation",
        shows="Box actions without gSDE; from the first step if log_std_init is not 0",
        patch=_std(_std_of_log_variance),
        hints={
            "log_prob": "log_std is taken as the logarithm of the variance: std = exp(log_std / 2)",
            "entropy": "log_std is taken as the logarithm of the variance",
        },
        formulas={
            "log_prob": {**log_prob_with_std(_std_of_log_variance), **log_prob_squashed_with_std(_std_of_log_variance)},
            "entropy": entropy_with_std(_std_of_log_variance),
        },
    ),
    Deviation(
        id="std_by_softplus",
        description="The standard deviation is softplus of its parameter instead of exp",
        stage="action",
        source="Andrychowicz et al. 2021, arXiv 2006.05990",
        remedy="Take exp(log_std) as the standard deviation",
        shows="Box actions without gSDE",
        patch=_std(functional.softplus),
        hints={"log_prob": "softplus(log_std) instead of exp(log_std)"},
        formulas={"log_prob": log_prob_with_std(functional.softplus)},
    ),
    Deviation(
        id="mean_squashed_by_tanh",
        description="The mean of the Gaussian is tanh of the actor's last layer",
        stage="action",
        source="nikhilbarhate99/PPO-PyTorch, PPO.py",
        remedy="Leave the last layer of the actor linear",
        shows="Box actions",
        patch=_actor_output(lambda mean, _: torch.tanh(mean), spaces.Box),
        hints={"log_prob": "the mean is squashed by tanh first"},
        formulas={"log_prob": {"diag_gaussian": _log_prob_of_squashed_mean}},
    ),
    Deviation(
        id="probabilities_as_logits",
        description="The actor ends in a softmax, and its probabilities are passed to the distribution as logits",
        stage="log_prob",
        source=WALK,
        remedy="Pass the output of the last layer as logits, or its softmax as probs",
        shows="Discrete or MultiDiscrete actions",
        patch=_actor_output(_softmax_of_space, spaces.Discrete, spaces.MultiDiscrete),
        hints={"log_prob": "a softmax of a softmax"},
        formulas={"log_prob": _SOFTMAX_TWICE},
    ),
    Deviation(
        id="sde_noise_drawn_while_learning",
        description="gSDE's noise is resampled before every minibatch, as in SB3 before 2.4",
        stage="action",
        source="DLR-RM/stable-baselines3#1929",
        remedy="Call reset_noise() only while collecting rollouts",
        shows="use_sde",
        patch=_noise_drawn_while_learning,
    ),
    Deviation(
        id="sde_noise_teaches_features",
        description="The gradient of gSDE's standard deviation reaches the hidden layers",
        stage="gradient",
        source="DLR-RM/stable-baselines3#52",
        remedy="Detach the features that the noise depends on (learn_features=False)",
        shows="use_sde",
        patch=_noise_teaches_features,
    ),
    Deviation(
        id="sde_sample_freq_ignored",
        description="gSDE's noise is drawn once per rollout, whatever sde_sample_freq says",
        stage="action",
        source=WALK,
        remedy="Call reset_noise() every sde_sample_freq steps",
        shows="use_sde and sde_sample_freq > 0",
        settings=with_settings(sde_sample_freq=-1),
    ),
)
