"""PPO's objective, term by term: pure functions of tensors over one minibatch of B transitions.

clipped_surrogate    L^CLIP    Schulman et al. 2017, arXiv 1707.06347, eq. 7
kl_penalty           L^KLPEN   eq. 8
log_prob_surrogate   A2C       Huang et al. 2022, arXiv 2205.09123
value_loss           L^VF      eq. 9, without a factor 1/2, as in SB3
entropy_loss         -S[pi]    eq. 9
approx_kl            KL        Schulman 2020, "Approximating KL divergence", k3
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "approx_kl",
    "clip_fraction",
    "clipped_surrogate",
    "clipped_values",
    "entropy_loss",
    "half_value_loss",
    "kl_penalty",
    "log_prob_surrogate",
    "normalize_advantages",
    "pessimistic_values",
    "policy_loss",
    "value_loss",
]


def normalize_advantages(advantages: Tensor) -> Tensor:
    """Return (A - mean A) / (std A + 1e-8) over the minibatch, [B]; one single advantage is returned as it is.

    The standard deviation is the unbiased one (dividing by B - 1), as in SB3.
    """
    if len(advantages) < 2:  # the deviation of one number is NaN, which would poison every weight
        return advantages
    # 1e-8 outside of the root, and statistics of the minibatch instead of the rollout: SB3's choices, not the paper's.
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


def clipped_surrogate(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    """Return PPO's clipped objective of each transition, [B], to be maximised.

        ratio = pi(a|s) / pi_old(a|s) = exp(log_prob - old_log_prob)
        L     = min(ratio * A, clip(ratio, 1 - clip_range, 1 + clip_range) * A)

    Once the ratio has moved by clip_range in the direction that the advantage favours, the gradient is zero:
    this is the trust region.  Schulman et al. 2017, arXiv 1707.06347, eq. 7.
    """
    # exp of the difference, as the quotient of two small probabilities would lose digits. Inside the clip both branches
    # are equal, and torch.min gives each half of the gradient.
    ratio = torch.exp(log_prob - old_log_prob)
    # The minimum, not the clipped term alone: a ratio that left the bounds to the wrong side must find its way back.
    return torch.min(advantages * ratio, advantages * torch.clamp(ratio, 1 - clip_range, 1 + clip_range))


def kl_penalty(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, beta: float) -> Tensor:
    """Return PPO's penalised objective of each transition, [B], to be maximised: ratio * A - beta * KL(pi_old, pi).

    The KL of each sampled action is estimated by (ratio - 1) - log ratio, which is never negative and has
    KL(pi_old, pi) as its mean under pi_old.  Schulman et al. 2017, arXiv 1707.06347, eq. 8.
    """
    log_ratio = log_prob - old_log_prob
    ratio = torch.exp(log_ratio)
    return advantages * ratio - beta * ((ratio - 1) - log_ratio)


def log_prob_surrogate(log_prob: Tensor, advantages: Tensor) -> Tensor:
    """Return A2C's objective of each transition, [B], to be maximised: A * log pi(a|s), without a ratio or a clip.

    Its gradient equals that of `clipped_surrogate` where pi equals pi_old, which holds in the first pass over a rollout
    (Huang et al. 2022, arXiv 2205.09123).
    """
    return advantages * log_prob


def policy_loss(objective: Tensor) -> Tensor:
    """Return minus the mean of an objective [B], which gradient descent minimises."""
    return -objective.mean()


def value_loss(returns: Tensor, values: Tensor) -> Tensor:
    """Return the mean of (return - V)^2 over the minibatch; SB3 has no factor 1/2 here, other PPOs do."""
    return functional.mse_loss(returns, values)


def half_value_loss(returns: Tensor, values: Tensor) -> Tensor:
    """Return the mean of (return - V)^2 / 2 over the minibatch, as in CleanRL and OpenAI's baselines."""
    return 0.5 * functional.mse_loss(returns, values)


def clipped_values(values: Tensor, old_values: Tensor, clip_range_vf: float) -> Tensor:
    """Return values [B] that moved at most clip_range_vf, in units of return, from those predicted while acting."""
    # Clamping the difference (SB3) and clamping the value to old_values +- clip_range_vf round differently in float32.
    # A value that moved farther has no gradient, even if it moved away from the return: `pessimistic_values` mends it.
    return old_values + torch.clamp(values - old_values, -clip_range_vf, clip_range_vf)


def pessimistic_values(values: Tensor, old_values: Tensor, clip_range_vf: float, returns: Tensor) -> Tensor:
    """Return V or its clipped counterpart, [B], whichever is farther from the return.

    The square of its error is max((return - V)^2, (return - V_clipped)^2), the loss of OpenAI's baselines and CleanRL:
    V is held back where it improved by more than clip_range_vf, and never where it became worse.
    """
    clipped = clipped_values(values, old_values, clip_range_vf)
    return torch.where((returns - values).abs() >= (returns - clipped).abs(), values, clipped)


def entropy_loss(entropy: Tensor | None, log_prob: Tensor) -> Tensor:
    """Return minus the mean entropy, estimated by -log pi(a|s) if the distribution has no closed form (None)."""
    # Actions of the old policy stand in for samples of the new one, so the estimate is unbiased in the first step only.
    return -torch.mean(-log_prob) if entropy is None else -torch.mean(entropy)


def approx_kl(log_prob: Tensor, old_log_prob: Tensor) -> Tensor:
    """Return the mean of (ratio - 1) - log ratio: an estimate of KL(pi_old, pi) with low variance, never negative.

    J. Schulman, "Approximating KL divergence" (2020), estimator k3.
    """
    log_ratio = log_prob - old_log_prob
    # SB3's order of operations: other last bits can make an update, which stops by this number, one minibatch longer.
    return torch.mean((torch.exp(log_ratio) - 1) - log_ratio)


def clip_fraction(log_prob: Tensor, old_log_prob: Tensor, clip_range: float) -> Tensor:
    """Return the share of transitions whose ratio lies outside [1 - clip_range, 1 + clip_range]."""
    ratio = torch.exp(log_prob - old_log_prob)
    return torch.mean((torch.abs(ratio - 1) > clip_range).float())
