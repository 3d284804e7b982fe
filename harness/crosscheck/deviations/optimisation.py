"""From the gradient to the step: clipping, optimiser, step size."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from custom_ppo.config import value_at
from custom_ppo.recipe import Recipe, adam
from harness.crosscheck.deviations.deviation import Deviation
from harness.crosscheck.deviations.surgery import (
    A2C_ONLY,
    PPO_ONLY,
    WALK,
    Surgery,
    huang,
    parts,
    settings,
    wrap,
)

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["OPTIMISATION"]

Parameters = Iterable[nn.Parameter]


# gradient


def _unclipped(parameters: Parameters, max_norm: float) -> None:
    """Gradients stay as they are."""


def _per_tensor(parameters: Parameters, max_norm: float) -> None:
    for parameter in parameters:
        nn.utils.clip_grad_norm_(parameter, max_norm)


def _by_value(parameters: Parameters, max_norm: float) -> None:
    nn.utils.clip_grad_value_(parameters, max_norm)


def _by_largest(parameters: Parameters, max_norm: float) -> None:
    nn.utils.clip_grad_norm_(parameters, max_norm, norm_type=float("inf"))


def _per_network(model: CustomPPO) -> None:
    def clip(parameters: Parameters, max_norm: float) -> None:
        critic = {
            id(parameter)
            for network in (model.policy.mlp_extractor.value_net, model.policy.value_net)
            for parameter in network.parameters()
        }
        everything = list(parameters)
        nn.utils.clip_grad_norm_([parameter for parameter in everything if id(parameter) not in critic], max_norm)
        nn.utils.clip_grad_norm_([parameter for parameter in everything if id(parameter) in critic], max_norm)

    model.agent.recipe = model.agent.recipe.replace(clip_gradients=clip)


def _accumulated(model: CustomPPO) -> None:
    wrap(model.policy.optimizer, "zero_grad", lambda original, set_to_none=True: None)


# optimiser


def _optimizer(make: Callable[..., torch.optim.Optimizer], **arguments: Any) -> Callable[[Recipe], Recipe]:
    return parts(optimizer=partial(make, **arguments))


class _TensorFlowRMSprop(torch.optim.RMSprop):
    """RMSprop as TensorFlow 1 had it: eps inside the square root, and the mean square starting at 1."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step; closure is not taken."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"], state["square_avg"] = 0, torch.ones_like(parameter)
                state["step"] += 1
                square = state["square_avg"].mul_(group["alpha"])
                square.addcmul_(parameter.grad, parameter.grad, value=1 - group["alpha"])
                parameter.addcdiv_(parameter.grad, square.add(group["eps"]).sqrt_(), value=-group["lr"])


def _without(model: CustomPPO) -> None:
    log_std = getattr(model.policy, "log_std", None)
    for group in model.policy.optimizer.param_groups:
        group["params"] = [parameter for parameter in group["params"] if parameter is not log_std]


def _fixed(model: CustomPPO) -> None:
    log_std = getattr(model.policy, "log_std", None)
    if log_std is not None:
        log_std.requires_grad_(False)


def _forgetful(model: CustomPPO) -> None:
    def update(original: Callable[[float], Any], progress_remaining: float) -> Any:
        model.policy.optimizer.state.clear()
        return original(progress_remaining)

    wrap(model.agent, "update", update)


# step size


def _progress(change: Callable[[CustomPPO, float], float]) -> Surgery:
    """Surgery: the schedules are asked for change(model, progress remaining)."""

    def surgery(model: CustomPPO) -> None:
        wrap(model.agent, "update", lambda original, remaining: original(change(model, remaining)))

    return surgery


def _late(model: CustomPPO) -> None:
    def move(original: Callable[[int, int], None], num_timesteps: int, total_timesteps: int) -> None:
        original(num_timesteps - model.n_steps * model.n_envs, total_timesteps)

    wrap(model, "_update_current_progress_remaining", move)


def _annealed(given: Any) -> dict[str, Any]:
    learning_rate = given["learning_rate"]
    return {"learning_rate": lambda remaining: remaining * value_at(learning_rate, remaining)}


OPTIMISATION: tuple[Deviation, ...] = (
    Deviation(
        id="gradients_accumulate",
        description="Gradients are not set to zero between two steps",
        stage="gradient",
        source=WALK,
        remedy="Call optimizer.zero_grad() before loss.backward()",
        shows="more than one step",
        surgery=_accumulated,
    ),
    Deviation(
        id="gradients_not_clipped",
        description="Gradients are not clipped, or before they are computed, or after they were used",
        stage="clipped_gradient",
        source=huang("core detail 11"),
        remedy="Call clip_grad_norm_ between loss.backward() and optimizer.step()",
        shows="a gradient longer than max_grad_norm",
        recipe=parts(clip_gradients=_unclipped),
    ),
    Deviation(
        id="gradients_clipped_per_tensor",
        description="The gradient of every parameter tensor is clipped by itself",
        stage="clipped_gradient",
        source=huang("core detail 11"),
        remedy="Clip the joint norm of all parameters",
        shows="a gradient longer than max_grad_norm",
        recipe=parts(clip_gradients=_per_tensor),
    ),
    Deviation(
        id="gradients_clipped_per_network",
        description="The gradients of actor and critic are clipped separately",
        stage="clipped_gradient",
        source=huang("core detail 11"),
        remedy="Clip the joint norm of all parameters",
        shows="a gradient longer than max_grad_norm",
        surgery=_per_network,
    ),
    Deviation(
        id="gradients_clipped_by_value",
        description="Every number in a gradient is clipped by itself (clip_grad_value_)",
        stage="clipped_gradient",
        source=WALK,
        remedy="Clip the joint norm: clip_grad_norm_",
        shows="a gradient longer than max_grad_norm",
        recipe=parts(clip_gradients=_by_value),
    ),
    Deviation(
        id="gradients_clipped_by_largest",
        description="Gradients are clipped by their largest number instead of their Euclidean norm",
        stage="clipped_gradient",
        source=WALK,
        remedy="Clip the Euclidean norm: norm_type=2",
        shows="a gradient longer than max_grad_norm",
        recipe=parts(clip_gradients=_by_largest),
    ),
    Deviation(
        id="max_grad_norm_10_times",
        description="Gradients are clipped to ten times max_grad_norm",
        stage="clipped_gradient",
        source=WALK,
        remedy="Use the max_grad_norm that was asked for",
        shows="a gradient longer than max_grad_norm",
        settings=lambda given: {"max_grad_norm": 10 * given["max_grad_norm"]},
    ),
    Deviation(
        id="max_grad_norm_1",
        description="Gradients are clipped to norm 1, whatever was asked for",
        stage="clipped_gradient",
        source=WALK,
        remedy="Use the max_grad_norm that was asked for",
        shows="another max_grad_norm, and a gradient longer than one of the two",
        settings=settings(max_grad_norm=1.0),
    ),
    Deviation(
        id="learning_rate_always_3e-4",
        description="The learning rate is 3e-4, whatever was asked for",
        stage="learning_rate",
        source=WALK,
        remedy="Use the learning_rate that was asked for",
        shows="another learning_rate",
        settings=settings(learning_rate=3e-4),
    ),
    Deviation(
        id="learning_rate_not_annealed",
        description="The learning rate stays at what its schedule gives at the start",
        stage="learning_rate",
        source=huang("core detail 4"),
        remedy="Ask the schedule in every update, and set the optimiser's lr",
        shows="a schedule for learning_rate",
        settings=lambda given: {"learning_rate": value_at(given["learning_rate"], 1.0)},
    ),
    Deviation(
        id="learning_rate_annealed",
        description="The learning rate falls linearly to 0, on top of what was asked for",
        stage="learning_rate",
        source=huang("core detail 4"),
        remedy="Keep a constant learning rate constant",
        settings=_annealed,
    ),
    Deviation(
        id="schedules_one_update_late",
        description="Schedules are asked for the progress before the rollout, so that the first update is at 1",
        stage="learning_rate",
        source="vwxyzjn/cleanrl, ppo.py",
        remedy="Ask the schedules after the rollout: its steps count as progress",
        shows="a schedule; with one for clip_range alone the surrogate differs first",
        surgery=_late,
    ),
    Deviation(
        id="schedules_stand_still",
        description="Schedules are always asked for the start of the training",
        stage="learning_rate",
        source=WALK,
        remedy="Update the progress before every update",
        shows="a schedule; with one for clip_range alone the surrogate differs first",
        surgery=_progress(lambda model, remaining: 1.0),
    ),
    Deviation(
        id="schedules_reversed",
        description="Schedules are asked for the progress made instead of what remains",
        stage="learning_rate",
        source=WALK,
        remedy="Pass the progress remaining, from 1 to 0",
        shows="a schedule; with one for clip_range alone the surrogate differs first",
        surgery=_progress(lambda model, remaining: 1.0 - remaining),
    ),
    Deviation(
        id="adam_eps_1e-8",
        description="Adam has PyTorch's eps, 1e-8, instead of 1e-5",
        stage="parameters",
        source=huang("core detail 3"),
        remedy="Pass eps=1e-5 to Adam",
        recipe=_optimizer(torch.optim.Adam, eps=1e-8),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="adam_eps_1e-7",
        description="Adam has Keras's eps, 1e-7, instead of 1e-5",
        stage="parameters",
        source=huang("core detail 3"),
        remedy="Pass eps=1e-5 to Adam",
        recipe=_optimizer(torch.optim.Adam, eps=1e-7),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="adam_beta2_0-99",
        description="Adam has betas 0.9 and 0.99 instead of 0.9 and 0.999",
        stage="parameters",
        source=WALK,
        remedy="Use Adam's own betas",
        shows="a second step",
        recipe=_optimizer(torch.optim.Adam, eps=1e-5, betas=(0.9, 0.99)),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="adam_beta1_0-5",
        description="Adam has betas 0.5 and 0.999 instead of 0.9 and 0.999",
        stage="parameters",
        source=WALK,
        remedy="Use Adam's own betas",
        shows="a second step",
        recipe=_optimizer(torch.optim.Adam, eps=1e-5, betas=(0.5, 0.999)),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="adam_weight_decay_1e-4",
        description="Adam has weight_decay=1e-4",
        stage="parameters",
        source=WALK,
        remedy="Use no weight decay",
        recipe=_optimizer(torch.optim.Adam, eps=1e-5, weight_decay=1e-4),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="adam_amsgrad",
        description="Adam is its variant AMSGrad",
        stage="parameters",
        source=WALK,
        remedy="Leave amsgrad=False",
        shows="a gradient that becomes smaller",
        recipe=_optimizer(torch.optim.Adam, eps=1e-5, amsgrad=True),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="adamw",
        description="The optimiser is AdamW with its weight_decay of 0.01 (eps 1e-5)",
        stage="parameters",
        source="CarperAI/trlx#53",
        remedy="Use Adam without weight decay",
        recipe=_optimizer(torch.optim.AdamW, eps=1e-5),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="rmsprop_for_adam",
        description="The optimiser is RMSprop as in A2C (alpha 0.99, eps 1e-5) instead of Adam",
        stage="parameters",
        source="Andrychowicz et al. 2021, arXiv 2006.05990",
        remedy="Use Adam with eps=1e-5",
        recipe=_optimizer(torch.optim.RMSprop, alpha=0.99, eps=1e-5),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="sgd",
        description="The optimiser is plain stochastic gradient descent",
        stage="parameters",
        source=WALK,
        remedy="Use Adam with eps=1e-5 for PPO, RMSprop for A2C",
        recipe=_optimizer(torch.optim.SGD),
    ),
    Deviation(
        id="sgd_with_momentum",
        description="The optimiser is stochastic gradient descent with momentum 0.9",
        stage="parameters",
        source=WALK,
        remedy="Use Adam with eps=1e-5 for PPO, RMSprop for A2C",
        recipe=_optimizer(torch.optim.SGD, momentum=0.9),
    ),
    Deviation(
        id="adam_for_rmsprop",
        description="A2C's optimiser is Adam (eps 1e-5) instead of RMSprop",
        stage="parameters",
        source="Huang et al. 2022, arXiv 2205.09123",
        remedy="Use RMSprop with alpha=0.99, eps=1e-5",
        recipe=parts(optimizer=adam),
        algorithms=A2C_ONLY,
    ),
    Deviation(
        id="rmsprop_eps_1e-8",
        description="RMSprop has PyTorch's eps, 1e-8, instead of 1e-5",
        stage="parameters",
        source=WALK,
        remedy="Pass eps=1e-5 to RMSprop",
        recipe=_optimizer(torch.optim.RMSprop, alpha=0.99, eps=1e-8),
        algorithms=A2C_ONLY,
    ),
    Deviation(
        id="rmsprop_alpha_0-9",
        description="RMSprop has alpha 0.9 instead of 0.99",
        stage="parameters",
        source=WALK,
        remedy="Pass alpha=0.99 to RMSprop",
        recipe=_optimizer(torch.optim.RMSprop, alpha=0.9, eps=1e-5),
        algorithms=A2C_ONLY,
    ),
    Deviation(
        id="rmsprop_of_tensorflow",
        description="RMSprop is TensorFlow's: eps inside the square root, mean square starting at 1",
        stage="parameters",
        source="SB3's RMSpropTFLike",
        remedy="Use torch.optim.RMSprop with alpha=0.99, eps=1e-5",
        recipe=_optimizer(_TensorFlowRMSprop, alpha=0.99, eps=1e-5),
        algorithms=A2C_ONLY,
    ),
    Deviation(
        id="optimizer_forgets",
        description="Every update begins with a new optimiser, without the moments of the last one",
        stage="parameters",
        source=WALK,
        remedy="Make the optimiser once",
        shows="a second update",
        surgery=_forgetful,
    ),
    Deviation(
        id="log_std_not_in_optimizer",
        description="log_std is not among the optimiser's parameters, though its gradient is clipped with the others",
        stage="parameters",
        source="nikhilbarhate99/PPO-PyTorch#23",
        remedy="Give the optimiser all parameters of the policy",
        shows="Box actions",
        surgery=_without,
    ),
    Deviation(
        id="log_std_fixed",
        description="log_std is a constant",
        stage="gradient",
        source="nikhilbarhate99/PPO-PyTorch#23",
        remedy="Make log_std a parameter that is trained",
        shows="Box actions",
        surgery=_fixed,
    ),
)
