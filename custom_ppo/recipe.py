"""Recipes: the functions that make up a policy-gradient algorithm, one field per part.

A variant is a recipe with another function in one field; the agent has no flags and no `if` about variants.

PPO = SB3_PPO: act, remember, estimate advantages, and for every minibatch: normalise, loss, stop?, descend
A2C = SB3_PPO.replace(policy_loss=PolicyLoss(log_prob_objective), optimizer=rmsprop) with one epoch over one batch

PPO with an adaptive KL penalty is `PPO_PENALTY`, CleanRL's PPO is `CLEANRL_PPO`; `PRESETS` holds all that have a name.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor, nn

from custom_ppo import gae as gae_module
from custom_ppo import losses
from custom_ppo.config import InvalidConfigError, UpdateConfig
from custom_ppo.memory import Batch
from custom_ppo.networks import orthogonal

__all__ = ["CLEANRL_PPO", "PPO_PENALTY", "PRESETS", "SB3_A2C", "SB3_PPO", "PolicyLoss", "Recipe", "named_recipe"]

_DEFAULT_TARGET_KL = 0.01


def bootstrapped_reward(reward: float, terminal_value: Tensor, gamma: float) -> Any:
    """Return r + gamma * V(s_terminal), the reward to remember for a step at which a time limit cut the episode.

    The episode would have gone on, so the rest of its return is estimated instead of counted as zero
    (Pardo et al. 2018, arXiv 1712.00378). terminal_value: float32 [1].
    """
    # Into the reward and not into the advantage, as in SB3: so returns hold it too, and `gae` needs no case for it.
    return reward + gamma * terminal_value


def reward_alone(reward: float, terminal_value: Tensor, gamma: float) -> Any:
    """Return r: the reward to remember if a time limit counts as a termination, after which nothing is earned."""
    return reward


def clipped_to_bounds(actions: NDArray[Any], space: spaces.Space[Any]) -> NDArray[Any]:
    """Return actions for the environment: Gaussian samples are unbounded, so those of a Box are clipped to its bounds.

    The memory keeps the sampled action, not the clipped one: log pi(a|s) is that of the sample.
    """
    return np.clip(actions, space.low, space.high) if isinstance(space, spaces.Box) else actions


def rescaled_to_bounds(actions: NDArray[Any], space: spaces.Space[Any]) -> NDArray[Any]:
    """Return actions for the environment of a squashed policy: (-1, 1) is mapped linearly to the bounds of the Box."""
    assert isinstance(space, spaces.Box)
    # The order of operations is that of SB3's unscale_action: another one gives other last bits.
    rescaled: NDArray[Any] = space.low + (0.5 * (actions + 1.0) * (space.high - space.low))
    return rescaled


def shuffled(n: int) -> NDArray[np.int64]:
    """Return a random order of n transitions, drawn anew for every epoch.

    It is drawn from NumPy's global generator instead of a private one, as SB3 draws from that one: equal streams make
    equal minibatches.
    """
    return np.random.permutation(n)  # noqa: NPY002


def exceeds_target(approx_kl: NDArray[np.float32], target_kl: float) -> bool:
    """Return True if an update must end before the step of this minibatch: approx_kl > 1.5 * target_kl.

    approx_kl is a float32 array of no dimensions, as in SB3, so that the comparison is made in float32.
    """
    # 1.5 leaves room for the noise of one minibatch; it is in SB3 and in OpenAI's Spinning Up, not in the paper.
    return bool(approx_kl > 1.5 * target_kl)


def never_stop(approx_kl: NDArray[np.float32], target_kl: float) -> bool:
    """Return False: another part of the recipe limits the change of the policy."""
    return False


def log_prob_objective(log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, limit: float) -> Tensor:
    """Return `losses.log_prob_surrogate`; on-policy data need neither the ratio to the old policy nor a limit."""
    return losses.log_prob_surrogate(log_prob, advantages)


def clip_around_old_values(values: Tensor, batch: Batch, clip_range_vf: float) -> Tensor:
    """Return `losses.clipped_values` of a minibatch, as SB3 clips them."""
    return losses.clipped_values(values, batch.old_values, clip_range_vf)


def clip_improvements_only(values: Tensor, batch: Batch, clip_range_vf: float) -> Tensor:
    """Return `losses.pessimistic_values` of a minibatch, as OpenAI's baselines and CleanRL clip them."""
    return losses.pessimistic_values(values, batch.old_values, clip_range_vf, batch.returns)


def same_penalty(beta: float, approx_kl: float, target_kl: float | None) -> float:
    """Return the price beta of the last update for the next one."""
    return beta


def adapted_penalty(beta: float, approx_kl: float, target_kl: float | None) -> float:
    """Return the price beta for the next update, so that its policy moves by about d_targ.

        beta / 2  where KL < d_targ / 1.5
        beta * 2  where KL > d_targ * 1.5

    approx_kl: KL(pi_old, pi) of the last update. target_kl: d_targ; None stands for 0.01.
    Schulman et al. 2017, arXiv 1707.06347, section 4.
    """
    # Both factors, 1.5 and 2, are the paper's heuristics, to which it found the algorithm "not very sensitive".
    target = _DEFAULT_TARGET_KL if target_kl is None else target_kl
    if approx_kl < target / 1.5:
        return beta / 2
    return beta * 2 if approx_kl > target * 1.5 else beta


def clip_global_norm(parameters: Iterable[nn.Parameter], max_norm: float) -> None:
    """Scale all gradients by one factor so that their joint norm is at most max_norm."""
    # One norm for actor and critic: a large error of the critic shrinks the step of the policy too.
    nn.utils.clip_grad_norm_(parameters, max_norm)


def adam(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Return Adam with eps = 1e-5, as in OpenAI's baselines and SB3; PyTorch's own default is 1e-8."""
    # Added to the root of the second moment: where gradients are below 1e-5, as they are when a policy has become
    # certain, eps 1e-8 makes far larger steps. Huang et al. 2022, "The 37 implementation details of PPO", list it as 3.
    return torch.optim.Adam(parameters, lr=lr, eps=1e-5)


def rmsprop(parameters: Iterable[nn.Parameter], lr: float, eps: float = 1e-5) -> torch.optim.Optimizer:
    """Return RMSprop with the settings of SB3's A2C: alpha 0.99, eps 1e-5, no weight decay."""
    return torch.optim.RMSprop(parameters, lr=lr, alpha=0.99, eps=eps, weight_decay=0)


# A dataclass and not a closure: two of equal parts are equal, so a recipe that was saved and loaded is still SB3's.
@dataclass(frozen=True)
class PolicyLoss:
    """Loss of the policy over a minibatch: an objective of every transition, limited, then reduced to one number.

    PPO's is -mean(min(ratio * A, clip(ratio, 1 - clip_range, 1 + clip_range) * A)).
    """

    objective: Callable[[Tensor, Tensor, Tensor, float], Tensor] = losses.clipped_surrogate
    """(log_prob, old_log_prob, advantages, limit) -> [B], to be maximised."""
    limited_by: Literal["clip_range", "beta"] = "clip_range"
    """Number of the update that is the limit of the objective: the clip range, or the price of KL."""
    reduction: Callable[[Tensor], Tensor] = losses.policy_loss
    """[B] -> the loss, to be minimised."""

    def __call__(self, log_prob: Tensor, old_log_prob: Tensor, advantages: Tensor, config: UpdateConfig) -> Tensor:
        """Return the loss, a tensor of no dimensions; log_prob, old_log_prob, advantages: [B]."""
        # By name, as schedules change the number from update to update while the recipe stays.
        limit: float = getattr(config, self.limited_by)
        return self.reduction(self.objective(log_prob, old_log_prob, advantages, limit))

    def replace(self, **parts: Any) -> PolicyLoss:
        """Return the same loss with some parts exchanged; raises TypeError for a part that does not exist."""
        return dataclasses.replace(self, **parts)


@dataclass(frozen=True)
class Recipe:
    """Parts of a policy-gradient algorithm; the defaults are those of SB3's PPO."""

    name: str = "ppo"

    # Functions in the fields are set on the instance, so that calling one, `recipe.advantages(...)`, passes no self.
    initialise: Callable[..., None] = orthogonal
    """(module, gain=) -> None; called for every module unless the policy has ortho_init=False."""
    env_action: Callable[[NDArray[Any], spaces.Space[Any]], NDArray[Any]] = clipped_to_bounds
    """(sampled actions [N, ...], action space) -> actions for the environments."""
    timeout_reward: Callable[[float, Tensor, float], Any] = bootstrapped_reward
    """(reward, V(s_terminal) [1], gamma) -> reward to remember where a time limit cut an episode."""
    advantages: Callable[..., tuple[NDArray[np.float32], NDArray[np.float32]]] = gae_module.gae
    """Arguments of `gae.gae` -> advantages and returns, [T, N]."""
    minibatch_order: Callable[[int], NDArray[np.int64]] = shuffled
    """(n) -> order in which an epoch goes through n transitions."""
    normalize_advantages: Callable[[Tensor], Tensor] = losses.normalize_advantages
    """[B] -> [B]; called only if normalize_advantage is set."""
    policy_loss: PolicyLoss = PolicyLoss()
    """(log_prob, old_log_prob, advantages, numbers of the update) -> loss."""
    value_loss: Callable[[Tensor, Tensor], Tensor] = losses.value_loss
    """(returns [B], values [B]) -> loss."""
    clip_values: Callable[[Tensor, Batch, float], Tensor] = clip_around_old_values
    """(values [B], minibatch, clip_range_vf) -> [B]; called only if clip_range_vf is not None."""
    entropy_loss: Callable[[Tensor | None, Tensor], Tensor] = losses.entropy_loss
    """(entropy [B] or None, log_prob [B]) -> loss."""
    stop_early: Callable[[NDArray[np.float32], float], bool] = exceeds_target
    """(KL of a minibatch, target_kl) -> True to end the update; called only if target_kl is not None."""
    adapt_penalty: Callable[[float, float, float | None], float] = same_penalty
    """(beta, KL of an update, target_kl) -> beta of the next update."""
    clip_gradients: Callable[[Iterable[nn.Parameter], float], None] = clip_global_norm
    """(parameters, max_grad_norm) -> None; changes their gradients in place."""
    optimizer: Callable[[Iterable[nn.Parameter], float], torch.optim.Optimizer] = adam
    """(parameters, first learning rate) -> optimiser."""

    def replace(self, **parts: Any) -> Recipe:
        """Return the same recipe with some parts exchanged; raises TypeError for a part that does not exist."""
        return dataclasses.replace(self, **parts)

    def differs_in(self, other: Recipe) -> tuple[str, ...]:
        """Return the names of the parts in which two recipes differ, without `name`."""
        parts = (field.name for field in dataclasses.fields(self) if field.name != "name")
        # By equality, as a PolicyLoss that was saved and loaded is another object; of functions it is identity.
        return tuple(part for part in parts if getattr(self, part) != getattr(other, part))


SB3_PPO = Recipe()
"""SB3's PPO."""

# One epoch, the whole batch and advantages as they are make the rest of A2C: numbers, which are fields of PPOConfig.
SB3_A2C = SB3_PPO.replace(name="a2c", policy_loss=PolicyLoss(log_prob_objective), optimizer=rmsprop)
"""SB3's A2C: PPO with another policy loss and optimiser, for one epoch over one batch (arXiv 2205.09123)."""

PPO_PENALTY = SB3_PPO.replace(
    name="ppo_penalty",
    policy_loss=PolicyLoss(losses.kl_penalty, limited_by="beta"),
    adapt_penalty=adapted_penalty,
    stop_early=never_stop,  # target_kl is aimed at here: exceeding it raises beta
)
"""PPO with an adaptive KL penalty instead of the clip (Schulman et al. 2017, section 4); d_targ is `target_kl`.

beta follows the mean KL over the minibatches of the last epoch, `train/approx_kl` in the log, which costs nothing; the
paper measures it once more after the update.
"""

CLEANRL_PPO = SB3_PPO.replace(
    name="cleanrl_ppo",
    timeout_reward=reward_alone,
    value_loss=losses.half_value_loss,
    clip_values=clip_improvements_only,
)
"""PPO of CleanRL (`ppo.py`, `ppo_continuous_action.py`), where it differs from SB3's in the algorithm.

Differences: a time limit counts as a termination, the value loss has a factor 1/2, and it is the larger of the clipped
and the free one. CleanRL's numbers are given as arguments: clip_range_vf equal to clip_range (it clips the value
by default), a learning_rate that falls linearly to zero, ent_coef 0.01 for discrete actions; as wrappers, VecNormalize
for continuous ones.

Equal in both: Adam's eps 1e-5, normalised advantages (unbiased deviation + 1e-8), orthogonal initialisation, clipped
actions, clipped gradients. Not reproduced: its target_kl (off by default) ends an update only between two epochs and
without our factor of 1.5, and its minibatches come in another random order.
"""

PRESETS: Mapping[str, Recipe] = {recipe.name: recipe for recipe in (SB3_PPO, SB3_A2C, PPO_PENALTY, CLEANRL_PPO)}
"""Recipes by their names."""


def named_recipe(recipe: str | Recipe) -> Recipe:
    """Return the preset of this name, or the recipe itself if it is one; raises InvalidConfigError for another name."""
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in PRESETS:
        close = difflib.get_close_matches(str(recipe), PRESETS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(PRESETS)}, or a Recipe"
        raise InvalidConfigError(f"there is no recipe {recipe!r}, {hint}")
    return PRESETS[recipe]
