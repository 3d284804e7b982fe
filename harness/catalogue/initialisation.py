"""Mistakes before the first step: weights, architecture, seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from custom_ppo.extractors import FlattenExtractor
from custom_ppo.recipe import Recipe
from harness.catalogue.deviation import Deviation
from harness.catalogue.patching import WALK, huang, with_policy_kwargs

if TYPE_CHECKING:
    from custom_ppo import CustomPPO

__all__ = ["INITIALISATION", "SharedTrunk"]

HIDDEN, ACTION, VALUE = 2**0.5, 0.01, 1
"""Gains of SB3's layers; a layer is recognised by its gain."""


def _gain(instead_of: float, other: float) -> Callable[[Recipe], Recipe]:
    def deviating(recipe: Recipe) -> Recipe:
        def initialise(module: nn.Module, gain: float) -> None:
            recipe.initialise(module, gain=other if abs(gain - instead_of) < 1e-6 else gain)

        return recipe.replace(initialise=initialise)

    return deviating


def _initialised_by(weights: Callable[[Tensor], Any]) -> Callable[[Recipe], Recipe]:
    def initialise(module: nn.Module, gain: float) -> None:
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            weights(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    return lambda recipe: recipe.replace(initialise=initialise)


def _biases_left(recipe: Recipe) -> Recipe:
    def initialise(module: nn.Module, gain: float) -> None:
        bias = getattr(module, "bias", None)
        before = None if bias is None else bias.detach().clone()
        recipe.initialise(module, gain=gain)
        if bias is not None and before is not None:
            with torch.no_grad():
                bias.copy_(before)

    return recipe.replace(initialise=initialise)


def _value_layer_twice(recipe: Recipe) -> Recipe:
    def initialise(module: nn.Module, gain: float) -> None:
        for _ in range(2 if gain == VALUE else 1):
            recipe.initialise(module, gain=gain)

    return recipe.replace(initialise=initialise)


class SharedTrunk(nn.Module):
    """Two hidden layers of 64 units on the flattened observation: features that actor and critic share."""

    def __init__(self, observation_space: Any) -> None:
        super().__init__()
        self.features_dim = 64
        flat = FlattenExtractor(observation_space)
        self.layers = nn.Sequential(flat, nn.Linear(flat.features_dim, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())

    def forward(self, observations: Tensor) -> Tensor:
        """Return features [B, 64] of observations [B, ...]."""
        features: Tensor = self.layers(observations)
        return features


def _torch_seeded_again(model: CustomPPO) -> None:
    if model.seed is not None:
        torch.manual_seed(model.seed)


def _one_seed_for_all(model: CustomPPO) -> None:
    if model.seed is not None and model.env is not None:
        # The first reset reads these seeds, and clears them.
        model.env.unwrapped._seeds = [model.seed] * model.env.num_envs


INITIALISATION: tuple[Deviation, ...] = (
    Deviation(
        id="layers_initialised_by_default",
        description="Layers keep PyTorch's default initialisation instead of an orthogonal one",
        stage="initial_parameters",
        source=huang("core detail 2"),
        remedy="Initialise weights orthogonally (gain sqrt 2 hidden, 0.01 actions, 1 value) and biases with zero",
        settings=with_policy_kwargs(ortho_init=False),
    ),
    Deviation(
        id="layers_initialised_by_xavier",
        description="Weights are initialised by xavier_uniform_, biases with zero",
        stage="initial_parameters",
        source="Andrychowicz et al. 2021, arXiv 2006.05990, choice C57",
        remedy="Initialise weights orthogonally: nn.init.orthogonal_",
        recipe=_initialised_by(nn.init.xavier_uniform_),
    ),
    Deviation(
        id="all_layer_gains_1",
        description="All layers are orthogonal with gain 1",
        stage="initial_parameters",
        source=WALK,
        remedy="Pass the gains: sqrt 2 for hidden layers, 0.01 for the actions, 1 for the value",
        recipe=_initialised_by(nn.init.orthogonal_),
    ),
    Deviation(
        id="biases_keep_default",
        description="Biases keep PyTorch's random initialisation, only weights are orthogonal",
        stage="initial_parameters",
        source=WALK,
        remedy="Set the biases to zero",
        recipe=_biases_left,
    ),
    Deviation(
        id="action_layer_gain_1",
        description="The last layer of the actor has gain 1 instead of 0.01",
        stage="initial_parameters",
        source="Andrychowicz et al. 2021, arXiv 2006.05990, choice C57",
        remedy="Initialise the last layer of the actor with gain 0.01",
        recipe=_gain(ACTION, 1),
    ),
    Deviation(
        id="action_layer_gain_sqrt_2",
        description="The last layer of the actor has the gain of hidden layers, sqrt 2, instead of 0.01",
        stage="initial_parameters",
        source=huang("core detail 2"),
        remedy="Initialise the last layer of the actor with gain 0.01",
        recipe=_gain(ACTION, HIDDEN),
    ),
    Deviation(
        id="value_layer_gain_0-01",
        description="The last layer of the critic has gain 0.01, like the actor's, instead of 1",
        stage="initial_parameters",
        source=WALK,
        remedy="Initialise the last layer of the critic with gain 1",
        recipe=_gain(VALUE, ACTION),
    ),
    Deviation(
        id="value_layer_gain_sqrt_2",
        description="The last layer of the critic has the gain of hidden layers, sqrt 2, instead of 1",
        stage="initial_parameters",
        source=WALK,
        remedy="Initialise the last layer of the critic with gain 1",
        recipe=_gain(VALUE, HIDDEN),
    ),
    Deviation(
        id="hidden_layers_gain_1",
        description="Hidden layers have gain 1 instead of sqrt 2",
        stage="initial_parameters",
        source=huang("core detail 2"),
        remedy="Initialise hidden layers with gain sqrt 2",
        recipe=_gain(HIDDEN, 1),
    ),
    Deviation(
        id="value_layer_initialised_twice",
        description="The last layer of the critic is initialised twice, which advances the random generator",
        stage="initial_parameters",
        source="ToruOwO/minimal-stable-PPO#3",
        remedy="Initialise every layer once, in SB3's order: features, hidden layers, actions, value",
        recipe=_value_layer_twice,
    ),
    Deviation(
        id="log_std_init_-0-5",
        description="The log standard deviation starts at -0.5 instead of 0",
        stage="initial_parameters",
        source="openai/spinningup, ppo/core.py",
        remedy="Start log_std at 0",
        shows="Box actions",
        settings=with_policy_kwargs(log_std_init=-0.5),
    ),
    Deviation(
        id="relu",
        description="Hidden layers have ReLU instead of tanh",
        stage="action",
        source="Engstrom et al. 2020, arXiv 2005.12729",
        remedy="Use tanh: activation_fn=nn.Tanh",
        shows="at least one hidden layer",
        settings=with_policy_kwargs(activation_fn=nn.ReLU),
    ),
    Deviation(
        id="shared_hidden_layers",
        description="Actor and critic share their hidden layers",
        stage="initial_parameters",
        source="SB3 before 1.7 (net_arch=[64, 64])",
        remedy="Give actor and critic hidden layers of their own",
        settings=with_policy_kwargs(features_extractor_class=SharedTrunk, net_arch=[]),
    ),
    Deviation(
        id="one_hidden_layer",
        description="Actor and critic have one hidden layer of 64 units instead of two",
        stage="initial_parameters",
        source=WALK,
        remedy="Use two hidden layers of 64 units: net_arch=dict(pi=[64, 64], vf=[64, 64])",
        shows="the default architecture",
        settings=with_policy_kwargs(net_arch=[64]),
    ),
    Deviation(
        id="hidden_layers_of_256",
        description="Hidden layers have 256 units instead of 64",
        stage="initial_parameters",
        source=WALK,
        remedy="Use two hidden layers of 64 units: net_arch=dict(pi=[64, 64], vf=[64, 64])",
        shows="the default architecture",
        settings=with_policy_kwargs(net_arch=[256, 256]),
    ),
    Deviation(
        id="images_not_scaled",
        description="Images reach the CNN as numbers from 0 to 255",
        stage="value",
        source=huang("Atari detail 9"),
        remedy="Divide images by 255",
        shows="image observations",
        settings=with_policy_kwargs(normalize_images=False),
    ),
    Deviation(
        id="torch_seeded_after_networks",
        description="torch is seeded again after the networks are made and before the first step",
        stage="action",
        source="openai/spinningup#310",
        remedy="Seed once, before the networks are made",
        shows="a seed",
        patch=_torch_seeded_again,
    ),
    Deviation(
        id="environments_share_seed",
        description="All parallel environments get the same seed",
        stage="observation",
        source="Farama-Foundation/Gymnasium#1468",
        remedy="Seed environment i with seed + i",
        shows="a seed and more than one environment",
        patch=_one_seed_for_all,
    ),
)
