"""Mistakes in the optimiser: its kind, its constants, and its parameters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from custom_ppo.distributions import DiagGaussian
from custom_ppo.recipe import Recipe, adam
from harness.catalogue.deviation import Deviation
from harness.catalogue.patching import (
    A2C_ONLY,
    PPO_ONLY,
    WALK,
    huang,
    with_parts,
    wrap,
    wrap_engine,
)

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["OPTIMISATION"]


def _optimizer(make: Callable[..., torch.optim.Optimizer], **arguments: Any) -> Callable[[Recipe], Recipe]:
    return with_parts(optimizer=partial(make, **arguments))


class _TensorFlowRMSprop(torch.optim.RMSprop):
    """RMSprop of TensorFlow 1: eps inside the square root, and a mean square that starts at 1."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Make one step; a closure is ignored."""
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


def _log_prob_with_fixed_std(mean: Tensor, log_std: Tensor, actions: Tensor) -> Tensor:
    return DiagGaussian(mean, log_std.detach()).log_prob(actions)


def _fixed(model: CustomPPO) -> None:
    log_std = getattr(model.policy, "log_std", None)
    if log_std is not None:
        log_std.requires_grad_(False)


def _two_steps(model: CustomPPO) -> None:
    def descend(original: Callable[[Any], None], config: Any) -> None:
        original(config)
        model.policy.optimizer.step()

    wrap_engine(model, "descend", descend)


def _forgetful(model: CustomPPO) -> None:
    def update(original: Callable[[float], Any], progress_remaining: float) -> Any:
        model.policy.optimizer.state.clear()
        return original(progress_remaining)

    wrap(model.agent, "update", update)


OPTIMISATION: tuple[Deviation, ...] = (
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
        remedy="Use Adam's default betas",
        shows="a second step",
        recipe=_optimizer(torch.optim.Adam, eps=1e-5, betas=(0.9, 0.99)),
        algorithms=PPO_ONLY,
    ),
    Deviation(
        id="adam_beta1_0-5",
        description="Adam has betas 0.5 and 0.999 instead of 0.9 and 0.999",
        stage="parameters",
        source=WALK,
        remedy="Use Adam's default betas",
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
        description="The optimiser is AMSGrad, a variant of Adam",
        stage="optimizer_state",
        source=WALK,
        remedy="Use Adam with amsgrad=False",
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
        recipe=with_parts(optimizer=adam),
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
        description="Every update begins with a new optimiser, without the moments of the update before",
        stage="parameters",
        source=WALK,
        remedy="Create the optimiser once",
        shows="a second update",
        patch=_forgetful,
    ),
    Deviation(
        id="two_steps_per_minibatch",
        description="The optimiser makes two steps with the gradient of each minibatch",
        stage="minibatch",
        source=WALK,
        remedy="Call optimizer.step() once",
        patch=_two_steps,
    ),
    Deviation(
        id="log_std_not_in_optimizer",
        description="log_std is not among the optimiser's parameters, though its gradient is clipped with the others",
        stage="clipped_gradient",
        source="nikhilbarhate99/PPO-PyTorch#23",
        remedy="Pass all parameters of the policy to the optimiser",
        shows="Box actions",
        patch=_without,
    ),
    Deviation(
        id="log_std_fixed",
        description="log_std is a constant instead of a trained parameter",
        stage="gradient",
        source="nikhilbarhate99/PPO-PyTorch#23",
        remedy="Make log_std a trained parameter",
        shows="Box actions",
        patch=_fixed,
        hints={"log_prob_gradient": "log_std is detached: it is never trained"},
        formulas={"log_prob_gradient": {"diag_gaussian": _log_prob_with_fixed_std}},
    ),
)
