"""Feature extractors: encode an observation by its space, then flatten it, or apply a CNN, or both for dictionaries.

Submodules carry SB3's names and are created in its order, so that state dicts and random draws are the same:

    FlattenExtractor    flatten
    NatureCNN           cnn (three convolutions), linear (one layer)
    CombinedExtractor   extractors[key], one of the above for each key
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from custom_ppo.config import InvalidConfigError
from custom_ppo.memory import TensorObservation

__all__ = ["CombinedExtractor", "FlattenExtractor", "NatureCNN", "encode", "is_image"]

Space = spaces.Space[Any]

_SMALLEST_IMAGE = 36
"""Pixels per side; below this, nothing is left for the third convolution of NatureCNN."""


def encode(observations: TensorObservation, space: Space, *, normalize_images: bool = True) -> TensorObservation:
    """Return observations as float32 inputs of the networks: images divided by 255, choices as one-hot vectors."""
    if isinstance(space, spaces.Dict):
        assert isinstance(observations, dict)
        return {key: _encode_one(value, space.spaces[key], normalize_images) for key, value in observations.items()}
    assert isinstance(observations, Tensor)
    return _encode_one(observations, space, normalize_images)


def _encode_one(observation: Tensor, space: Space, normalize_images: bool) -> Tensor:
    if isinstance(space, spaces.Box):
        return observation.float() / 255.0 if normalize_images and is_image(space) else observation.float()
    if isinstance(space, spaces.Discrete):
        return functional.one_hot(observation.long(), num_classes=int(space.n)).float()
    if isinstance(space, spaces.MultiDiscrete):
        choices = torch.split(observation.long(), 1, dim=1)  # len(nvec) times [B, 1]
        one_hot = [functional.one_hot(c, num_classes=int(n)) for c, n in zip(choices, space.nvec, strict=True)]
        return torch.cat(one_hot, dim=-1).float().view(len(observation), -1)  # [B, 1, sum(nvec)] -> [B, sum(nvec)]
    if isinstance(space, spaces.MultiBinary):
        return observation.float()
    raise NotImplementedError(f"observations of {space} are not supported")


def is_image(space: Space, *, normalized: bool = False) -> bool:
    """Return True if the space holds images: three axes of bytes from 0 to 255, or of any numbers if `normalized`."""
    if not isinstance(space, spaces.Box) or len(space.shape) != 3:
        return False
    return normalized or (space.dtype == np.uint8 and bool(np.all(space.low == 0) and np.all(space.high == 255)))


def n_flat(space: Space) -> int:
    """Return how many numbers one encoded and flattened observation has."""
    if isinstance(space, spaces.MultiDiscrete):
        return int(sum(space.nvec))  # all the one-hot vectors
    return spaces.utils.flatdim(space)


class FlattenExtractor(nn.Module):
    """Observation as a vector: the features of MlpPolicy."""

    def __init__(self, observation_space: Space) -> None:
        super().__init__()
        self.features_dim = n_flat(observation_space)
        self.flatten = nn.Flatten()

    def forward(self, observations: Tensor) -> Tensor:
        """Flatten observations [B, ...] to features [B, features_dim]."""
        flat: Tensor = self.flatten(observations)
        return flat


class NatureCNN(nn.Module):
    """Convolutional network of DQN, the features of CnnPolicy (Mnih et al. 2015, "Human-level control ...", Nature).

    observation_space: images, channels first [C, H, W], of at least 36 x 36 pixels.
    features_dim: width of the last layer.
    normalized_image: accept any Box of three axes, as its numbers are scaled already.

    Raises InvalidConfigError if the space holds no such images.
    """

    def __init__(self, observation_space: Space, features_dim: int = 512, normalized_image: bool = False) -> None:
        super().__init__()
        _check_image(observation_space, normalized_image)
        self.features_dim = features_dim
        self.cnn = nn.Sequential(
            nn.Conv2d(observation_space.shape[0], 32, kernel_size=8, stride=4),  # type: ignore[index]
            nn.ReLU(),
            nn.Conv2d(32, 64, kernel_size=4, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, kernel_size=3, stride=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        with torch.no_grad():
            # A sample and not zeros, as in SB3: an environment may draw its observations from the same generator.
            example = torch.as_tensor(observation_space.sample()[None]).float()
            n_flattened = self.cnn(example).shape[1]
        self.linear = nn.Sequential(nn.Linear(n_flattened, features_dim), nn.ReLU())

    def forward(self, observations: Tensor) -> Tensor:
        """Map images [B, C, H, W] to features [B, features_dim]."""
        features: Tensor = self.linear(self.cnn(observations))
        return features


def _check_image(space: Space, normalized: bool) -> None:
    found = " ".join(str(space).split())  # bounds that differ are printed over several lines
    if not is_image(space, normalized=normalized):
        expected = "a Box of three axes" if normalized else "images: a Box of three axes, uint8, from 0 to 255"
        policy = "MultiInputPolicy" if isinstance(space, spaces.Dict) else "MlpPolicy"
        hint = "" if normalized else ", or normalize_images=False where images are normalised already"
        raise InvalidConfigError(f"a CNN needs {expected}, got {found}; use '{policy}'{hint}")
    shape = space.shape or ()
    if min(shape[1:]) < _SMALLEST_IMAGE:
        raise InvalidConfigError(
            f"NatureCNN needs images of at least {_SMALLEST_IMAGE} x {_SMALLEST_IMAGE} pixels, "
            f"got {shape[1]} x {shape[2]} with {shape[0]} channels; use a features_extractor_class of your own"
        )


class CombinedExtractor(nn.Module):
    """Features of all keys of a Dict, concatenated: the features of MultiInputPolicy.

    observation_space: a Dict; images (channels first) go through a `NatureCNN`, everything else is flattened.
    cnn_output_dim: features of each image.
    normalized_image: see `NatureCNN`; every Box of three axes counts as an image then.

    Raises InvalidConfigError if the space is not a Dict.
    """

    def __init__(self, observation_space: Space, cnn_output_dim: int = 256, normalized_image: bool = False) -> None:
        super().__init__()
        if not isinstance(observation_space, spaces.Dict):
            found = " ".join(str(observation_space).split())
            raise InvalidConfigError(
                f"'MultiInputPolicy' needs Dict observations, got {found}; use 'MlpPolicy' or 'CnnPolicy'"
            )
        extractors: dict[str, nn.Module] = {}
        self.features_dim = 0
        # In the order of the space, not of an observation: it decides the columns of the first layer's weights.
        for key, space in observation_space.spaces.items():
            if is_image(space, normalized=normalized_image):
                extractors[key] = NatureCNN(space, cnn_output_dim, normalized_image)
                self.features_dim += cnn_output_dim
            else:
                extractors[key] = nn.Flatten()
                self.features_dim += n_flat(space)
        self.extractors = nn.ModuleDict(extractors)

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Concatenate the features of all keys, each [B, ...], to [B, features_dim] in the order of the space."""
        return torch.cat([extractor(observations[key]) for key, extractor in self.extractors.items()], dim=1)
