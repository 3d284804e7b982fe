"""Actor and critic: two small networks on top of a feature extractor, initialised orthogonally.

Submodules carry the names of SB3's policies, so that state dicts are interchangeable:

    features_extractor                observation -> features; one of `extractors`
    mlp_extractor.policy_net          features -> actor's last hidden layer
    mlp_extractor.value_net           features -> critic's last hidden layer
    action_net, log_std               actor's last hidden layer -> parameters of the distribution over actions
    value_net                         critic's last hidden layer -> V(s)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from custom_ppo.distributions import (
    Bernoulli,
    Categorical,
    DiagGaussian,
    Distribution,
    MultiCategorical,
    StateDependentNoise,
)
from custom_ppo.extractors import FlattenExtractor, encode
from custom_ppo.memory import TensorObservation

__all__ = ["ActorCritic", "Policy", "TwinMLP", "orthogonal", "set_training_mode"]

Space = spaces.Space[Any]
NetArch = Sequence[int] | Mapping[str, Sequence[int]]


def orthogonal(module: nn.Module, gain: float) -> None:
    """Give a linear or convolutional layer orthogonal weights times gain, and zero biases; for `Module.apply`.

    Saxe et al. 2014, arXiv 1312.6120; gains as in OpenAI's baselines: sqrt 2 for hidden layers, 1 for the value and
    0.01 for the actions, so that the first policy is almost uniform.
    """
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        nn.init.orthogonal_(module.weight, gain=gain)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def set_training_mode(module: nn.Module, mode: bool) -> None:
    """Do what `module.train(mode)` does, in a tenth of its time, which counts in rollouts of a few steps."""
    attributes = vars(module)
    if "train" in attributes or type(module).train is not nn.Module.train:
        module.train(mode)  # somebody does something else as well
        return
    attributes["training"] = mode
    for part in attributes["_modules"].values():
        if part is not None:
            set_training_mode(part, mode)


class TwinMLP(nn.Module):
    """Two stacks of linear layers on the same features, one for the actor and one for the critic.

    net_arch: layer widths of both, or {"pi": widths, "vf": widths}; a stack without widths is the identity.
    """

    def __init__(self, features_dim: int, net_arch: NetArch, activation_fn: Callable[[], nn.Module]) -> None:
        super().__init__()
        both = net_arch if isinstance(net_arch, Mapping) else {"pi": net_arch, "vf": net_arch}
        self.policy_net, self.latent_dim_pi = _stack(features_dim, both.get("pi", ()), activation_fn)
        self.value_net, self.latent_dim_vf = _stack(features_dim, both.get("vf", ()), activation_fn)


def _stack(width_in: int, widths: Sequence[int], activation_fn: Callable[[], nn.Module]) -> tuple[nn.Sequential, int]:
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(width_in, width), activation_fn()]
        width_in = width
    return nn.Sequential(*layers), width_in


class Policy(Protocol):
    """Methods of a policy that PPO calls; `ActorCritic` has them, and so has every actor-critic policy of SB3."""

    def __call__(self, obs: TensorObservation) -> tuple[Tensor, Tensor, Tensor]:
        """Return sampled actions [N, ...], values [N, 1] and log-probabilities [N]."""
        ...

    def evaluate_actions(self, obs: TensorObservation, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return values [B, 1], log-probabilities [B] and entropies [B] (or None) of remembered actions."""
        ...

    def predict_values(self, obs: TensorObservation) -> Tensor:
        """Return values [B, 1]."""
        ...

    def reset_noise(self, n_envs: int) -> None:
        """Draw the noise matrices of gSDE anew."""

    def parameters(self) -> Any:
        """Return all parameters, as `nn.Module` does."""

    def train(self, mode: bool = True) -> Any:
        """Switch between training and evaluation, as `nn.Module` does."""


class ActorCritic(nn.Module):
    """Policy pi(a|s) and value function V(s).

    The layers are created, and then initialised, in SB3's order: both draw from torch's global generator, and only
    equal draws make two runs with one seed comparable.
    """

    log_std: nn.Parameter

    def __init__(
        self,
        observation_space: Space,
        action_space: Space,
        *,
        net_arch: NetArch = (64, 64),
        activation_fn: Callable[[], nn.Module] = nn.Tanh,
        ortho_init: bool = True,
        log_std_init: float = 0.0,
        use_sde: bool = False,
        full_std: bool = True,
        use_expln: bool = False,
        squash_output: bool = False,
        make_features_extractor: Callable[[Space], nn.Module] = FlattenExtractor,
        share_features_extractor: bool = True,
        normalize_images: bool = True,
        initialise: Callable[..., None] = orthogonal,
    ) -> None:
        nn.Module.__init__(self)
        self.observation_space = observation_space
        self.action_space = action_space
        self.normalize_images = normalize_images
        self.share_features_extractor = share_features_extractor

        self.features_extractor = make_features_extractor(observation_space)
        self.pi_features_extractor = self.features_extractor
        self.vf_features_extractor = (
            self.features_extractor if share_features_extractor else make_features_extractor(observation_space)
        )
        features_dim: Any = self.features_extractor.features_dim
        self.mlp_extractor = TwinMLP(int(features_dim), net_arch, activation_fn)
        latent_dim_pi = self.mlp_extractor.latent_dim_pi
        self.action_net = nn.Linear(latent_dim_pi, _n_distribution_inputs(action_space))
        self.sde: StateDependentNoise | None = None
        if use_sde:
            self.sde = StateDependentNoise(
                _n_distribution_inputs(action_space),
                full_std=full_std,
                use_expln=use_expln,
                squash_output=squash_output,
            )
            self.log_std = self.sde.initial_log_std(latent_dim_pi, log_std_init)
            self.sde.resample(self.log_std, n_envs=1)
        elif isinstance(action_space, spaces.Box):
            # A parameter and not an output of the network: exploration is the same in every state (SB3; Huang et al.
            # 2022, "The 37 implementation details of PPO", the second one for continuous actions).
            self.log_std = nn.Parameter(torch.ones(_n_distribution_inputs(action_space)) * log_std_init)
        self.value_net = nn.Linear(self.mlp_extractor.latent_dim_vf, 1)
        if ortho_init:
            self._initialise(initialise)

    def _initialise(self, initialise: Callable[..., None]) -> None:
        extractors = (
            [self.features_extractor]
            if self.share_features_extractor
            # SB3 initialises two separate extractors last, and so must we: it is the order of random draws.
            else [self.pi_features_extractor, self.vf_features_extractor]
        )
        hidden = [(module, np.sqrt(2)) for module in extractors]
        rest = [(self.mlp_extractor, np.sqrt(2)), (self.action_net, 0.01), (self.value_net, 1)]
        for module, gain in hidden + rest if self.share_features_extractor else rest + hidden:
            module.apply(partial(initialise, gain=gain))

    # Methods that PPO calls

    def forward(self, obs: TensorObservation, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Sample: return actions [N, ...] in the shape of the space, values [N, 1] and log-probabilities [N]."""
        latent_pi, latent_vf = self._latents(obs)
        values: Tensor = self.value_net(latent_vf)
        distribution = self._distribution(latent_pi)
        actions = distribution.get_actions(deterministic)
        log_prob = distribution.log_prob(actions)  # of the sample, before it is clipped for the environment
        return actions.reshape((-1, *(self.action_space.shape or ()))), values, log_prob  # [N, A] -> [N, ...]

    def evaluate_actions(self, obs: TensorObservation, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return values [B, 1], log-probabilities [B] and entropies [B] (or None) of remembered actions."""
        latent_pi, latent_vf = self._latents(obs)
        distribution = self._distribution(latent_pi)
        log_prob = distribution.log_prob(actions)
        values: Tensor = self.value_net(latent_vf)
        return values, log_prob, distribution.entropy()

    def predict_values(self, obs: TensorObservation) -> Tensor:
        """Return values [B, 1], to bootstrap from."""
        # The critic alone, as in SB3: no distribution is made, and no random number drawn.
        features = self.vf_features_extractor(self._encode(obs))
        values: Tensor = self.value_net(self.mlp_extractor.value_net(features))
        return values

    def get_distribution(self, obs: TensorObservation) -> Distribution:
        """Return the distribution over actions in each state."""
        features = self.pi_features_extractor(self._encode(obs))
        return self._distribution(self.mlp_extractor.policy_net(features))

    def reset_noise(self, n_envs: int = 1) -> None:
        """Draw gSDE's noise matrices anew; raises ValueError without gSDE."""
        if self.sde is None:
            raise ValueError("reset_noise() is only available when using gSDE (use_sde=True)")
        self.sde.resample(self.log_std, n_envs)

    # Parts of them

    def _encode(self, obs: TensorObservation) -> TensorObservation:
        return encode(obs, self.observation_space, normalize_images=self.normalize_images)

    def _latents(self, obs: TensorObservation) -> tuple[Tensor, Tensor]:
        """Return the last hidden layers [B, H] of the actor and of the critic."""
        pi_features = self.pi_features_extractor(self._encode(obs))
        vf_features = pi_features if self.share_features_extractor else self.vf_features_extractor(self._encode(obs))
        return self.mlp_extractor.policy_net(pi_features), self.mlp_extractor.value_net(vf_features)

    def _distribution(self, latent_pi: Tensor) -> Distribution:
        parameters = self.action_net(latent_pi)
        space = self.action_space
        if self.sde is not None:
            return self.sde.distribution(parameters, self.log_std, latent_pi)
        if isinstance(space, spaces.Box):
            return DiagGaussian(parameters, self.log_std)
        if isinstance(space, spaces.Discrete):
            return Categorical(parameters)
        if isinstance(space, spaces.MultiDiscrete):
            return MultiCategorical(parameters, space.nvec.tolist())
        return Bernoulli(parameters)


def _n_distribution_inputs(space: Space) -> int:
    """Return how many numbers the actor outputs: means, logits or log-odds."""
    if isinstance(space, spaces.Box):
        return int(np.prod(space.shape))
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return int(sum(space.nvec))
    if isinstance(space, spaces.MultiBinary) and len(space.shape) == 1:
        return int(space.shape[0])
    raise NotImplementedError(
        f"actions of {space} are not supported; Box, Discrete, and one-dimensional MultiDiscrete and MultiBinary are"
    )
