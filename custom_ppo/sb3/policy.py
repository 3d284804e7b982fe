"""`networks.ActorCritic` with the arguments, state dict and `predict` of SB3's policies, one for each kind of input."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar, cast

import torch
from gymnasium import spaces
from stable_baselines3.common import torch_layers as sb3_layers
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor, nn

from custom_ppo.config import InvalidConfigError, Schedule
from custom_ppo.extractors import CombinedExtractor, FlattenExtractor, NatureCNN
from custom_ppo.networks import ActorCritic, NetArch
from custom_ppo.recipe import SB3_PPO, Recipe, adam

__all__ = ["CnnPolicy", "MlpPolicy", "MultiInputPolicy"]

Space = spaces.Space[Any]

_CNNS = (NatureCNN, sb3_layers.NatureCNN)
_TAKE_NORMALIZED_IMAGES = (*_CNNS, CombinedExtractor, sb3_layers.CombinedExtractor)


class MlpPolicy(ActorCritic, BasePolicy):  # type: ignore[misc]  # both name their features_extractor
    """`networks.ActorCritic` with the arguments, the state dict and the `predict` of SB3's ActorCriticPolicy.

    observation_space, action_space: of the environment.
    lr_schedule: its value at progress 1 is the optimiser's first learning rate.
    The other arguments are SB3's `policy_kwargs`. Raises ValueError on combinations that cannot work.
    """

    default_extractor: ClassVar[type[nn.Module]] = FlattenExtractor
    """Features extractor if no features_extractor_class is given."""

    def __init__(
        self,
        observation_space: Space,
        action_space: Space,
        lr_schedule: Schedule,
        net_arch: NetArch | None = None,
        activation_fn: type[nn.Module] = nn.Tanh,
        ortho_init: bool = True,
        use_sde: bool = False,
        log_std_init: float = 0.0,
        full_std: bool = True,
        use_expln: bool = False,
        squash_output: bool = False,
        features_extractor_class: Callable[..., nn.Module] | None = None,
        features_extractor_kwargs: dict[str, Any] | None = None,
        share_features_extractor: bool = True,
        normalize_images: bool = True,
        optimizer_class: Callable[..., torch.optim.Optimizer] | None = None,
        optimizer_kwargs: dict[str, Any] | None = None,
        recipe: Recipe = SB3_PPO,
    ) -> None:
        if squash_output and not use_sde:
            raise InvalidConfigError("squash_output=True is only available when using gSDE (use_sde=True)")
        make_extractor = features_extractor_class or self.default_extractor
        extractor_kwargs = _extractor_kwargs(make_extractor, features_extractor_kwargs, normalize_images)
        self.net_arch = _net_arch(net_arch, make_extractor)
        ActorCritic.__init__(
            self,
            observation_space,
            action_space,
            net_arch=self.net_arch,
            activation_fn=activation_fn,
            ortho_init=ortho_init,
            log_std_init=log_std_init,
            use_sde=use_sde,
            full_std=full_std,
            use_expln=use_expln,
            squash_output=squash_output,
            make_features_extractor=lambda space: make_extractor(space, **extractor_kwargs),
            share_features_extractor=share_features_extractor,
            normalize_images=normalize_images,
            initialise=recipe.initialise,
        )
        # From here on: attributes that SB3's code, and its users, read from a policy.
        self._squash_output = squash_output
        self.activation_fn = activation_fn
        self.ortho_init = ortho_init
        self.use_sde = use_sde
        self.log_std_init = log_std_init
        self.dist_kwargs = (
            {"full_std": full_std, "squash_output": squash_output, "use_expln": use_expln, "learn_features": False}
            if use_sde
            else None
        )
        self.features_extractor_class = make_extractor  # type: ignore[assignment]  # ours are no classes of SB3
        self.features_extractor_kwargs = extractor_kwargs
        self.features_dim = self.features_extractor.features_dim
        # `save` writes these arguments, and `load` passes them on; the recipe is left out, as its optimiser is saved.
        self._arguments = {
            "net_arch": self.net_arch,
            "activation_fn": activation_fn,
            "ortho_init": ortho_init,
            "use_sde": use_sde,
            "log_std_init": log_std_init,
            "full_std": full_std,
            "use_expln": use_expln,
            "squash_output": squash_output,
            "features_extractor_class": make_extractor,
            "features_extractor_kwargs": extractor_kwargs,
            "share_features_extractor": share_features_extractor,
            "optimizer_class": optimizer_class,
            "optimizer_kwargs": optimizer_kwargs,
        }
        self.optimizer = _optimizer(
            list(self.parameters()), lr_schedule(1), optimizer_class, optimizer_kwargs, recipe.optimizer
        )
        self.optimizer_class = type(self.optimizer)
        # SB3 shows eps=1e-5 here if it was its own choice.
        own = {name: value for name, value in self.optimizer.defaults.items() if name == "eps"}
        self.optimizer_kwargs = own if optimizer_kwargs is None else optimizer_kwargs

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {**super()._get_constructor_parameters(), **self._arguments, "lr_schedule": self._dummy_schedule}

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        return self.get_distribution(observation).get_actions(deterministic)


class CnnPolicy(MlpPolicy):
    """Policy for images: `extractors.NatureCNN`, without hidden layers after it unless net_arch names some."""

    default_extractor = NatureCNN


class MultiInputPolicy(MlpPolicy):
    """Policy for Dict observations: `extractors.CombinedExtractor`, then an MLP."""

    default_extractor = CombinedExtractor


def _extractor_kwargs(
    extractor: Callable[..., nn.Module], kwargs: dict[str, Any] | None, normalize_images: bool
) -> dict[str, Any]:
    """Return the user's arguments; a CNN accepts images of any numbers if they are not to be divided by 255."""
    takes_it = isinstance(extractor, type) and issubclass(extractor, _TAKE_NORMALIZED_IMAGES)
    return {**(kwargs or {}), **({"normalized_image": True} if takes_it and not normalize_images else {})}


def _net_arch(net_arch: Any, features_extractor_class: Callable[..., nn.Module]) -> NetArch:
    """Return the layer widths that SB3 derives from the same arguments."""
    if net_arch is None:
        # Only for these very classes, as in SB3: a subclass of a CNN gets hidden layers.
        return [] if features_extractor_class in _CNNS else {"pi": [64, 64], "vf": [64, 64]}
    if isinstance(net_arch, list) and net_arch and isinstance(net_arch[0], dict):
        warnings.warn("net_arch=[dict(...)] is the form of SB3 before 1.8: write dict(...)", UserWarning, stacklevel=4)
        net_arch = net_arch[0]
    return cast("NetArch", net_arch)


def _optimizer(
    parameters: list[nn.Parameter],
    learning_rate: float,
    optimizer_class: Callable[..., torch.optim.Optimizer] | None,
    optimizer_kwargs: dict[str, Any] | None,
    recipe_optimizer: Callable[..., torch.optim.Optimizer],
) -> torch.optim.Optimizer:
    """Return the recipe's optimiser, or the one that the user names.

    SB3 sets eps=1e-5 only for an Adam without optimizer_kwargs; with any of them, PyTorch's default of 1e-8 is back.
    """
    if optimizer_class is None:
        if optimizer_kwargs is None:
            return recipe_optimizer(parameters, learning_rate)
        if recipe_optimizer is not adam:
            raise InvalidConfigError(
                "`optimizer_kwargs` needs an `optimizer_class`: the recipe has an optimiser of its own"
            )
        optimizer_class = torch.optim.Adam
    elif optimizer_class is torch.optim.Adam and optimizer_kwargs is None:
        return adam(parameters, learning_rate)
    return optimizer_class(parameters, lr=learning_rate, **(optimizer_kwargs or {}))
