"""Features that are the numbers of an observation in a row are recognised, and all others are left to autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from custom_ppo.engines import FusedEngine, make_engine
from custom_ppo.engines.features import make_features, reason_against_flattening
from custom_ppo.extractors import CombinedExtractor, FlattenExtractor
from custom_ppo.networks import ActorCritic
from custom_ppo.recipe import SB3_PPO
from tests.custom_ppo.engines.spaces_to_fuse import VECTOR

VECTORS = spaces.Dict({"a": VECTOR, "b": spaces.Discrete(3)})
WITH_IMAGE = spaces.Dict({"a": VECTOR, "image": spaces.Box(0, 255, (1, 36, 36), np.uint8)})


class OwnCombination(CombinedExtractor):
    pass


class OwnFlatten(nn.Flatten):
    pass


def policy_with(
    space: spaces.Space[Any] = VECTORS, extractor: Callable[..., nn.Module] = CombinedExtractor, share: bool = True
) -> ActorCritic:
    network: dict[str, Any] = {"make_features_extractor": extractor, "share_features_extractor": share}
    return ActorCritic(space, spaces.Discrete(2), net_arch=[4], **network)


def changed(share: bool, change: Callable[[Any], Any]) -> ActorCritic:
    policy = policy_with(share=share)
    change(policy.vf_features_extractor.extractors)
    return policy


def reverse(parts: nn.ModuleDict) -> None:
    first = parts.pop("a")
    parts["a"] = first


CASES: dict[str, tuple[Callable[[], ActorCritic], str | None]] = {
    "one array": (lambda: policy_with(VECTOR, FlattenExtractor), None),
    "dict": (policy_with, None),
    "dict, two extractors": (lambda: policy_with(share=False), None),
    "image in a dict": (lambda: policy_with(WITH_IMAGE), "features are extracted by NatureCNN"),
    "subclass": (lambda: policy_with(extractor=OwnCombination), "features are extracted by OwnCombination"),
    "other part": (
        lambda: changed(True, lambda parts: parts.update({"a": OwnFlatten()})),
        "features are extracted by OwnFlatten",
    ),
    "other order": (lambda: changed(False, reverse), "actor and critic have their features in another order"),
}


@pytest.mark.parametrize("name", list(CASES))
def test_the_reason_against_flattening_is_named(name: str) -> None:
    make, reason = CASES[name]
    assert reason_against_flattening(make()) == reason


@pytest.mark.parametrize("name", list(CASES))
def test_features_are_those_of_the_policy(name: str) -> None:
    policy = CASES[name][0]()
    space: Any = policy.observation_space
    space.seed(0)
    sample = space.sample()
    parts = sample.items() if isinstance(sample, dict) else [(None, sample)]
    tensors: Any = {key: torch.as_tensor(np.stack([value, value])) for key, value in parts}
    observations = tensors.get(None, tensors)
    found = make_features(policy).encode(observations)
    encoded = policy._encode(observations)
    assert torch.equal(found[0], policy.pi_features_extractor(encoded))
    assert torch.equal(found[1], policy.vf_features_extractor(encoded))
    assert torch.equal(make_features(policy).encode_for_critic(observations), found[1])


def test_an_exchanged_part_of_an_extractor_makes_another_engine() -> None:
    policy = policy_with()
    optimizer = torch.optim.Adam(policy.parameters())
    engine = make_engine(policy, optimizer, SB3_PPO, "fused")
    assert make_engine(policy, optimizer, SB3_PPO, "fused", engine) is engine
    extractor: Any = policy.features_extractor
    extractor.extractors["a"] = OwnFlatten()
    other = make_engine(policy, optimizer, SB3_PPO, "fused", engine)
    assert isinstance(other, FusedEngine)
    assert other is not engine
