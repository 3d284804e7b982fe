from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common import torch_layers as sb3
from stable_baselines3.common.policies import ActorCriticCnnPolicy, MultiInputActorCriticPolicy
from stable_baselines3.common.preprocessing import is_image_space, preprocess_obs
from torch import Tensor, nn

from custom_ppo.config import InvalidConfigError
from custom_ppo.extractors import CombinedExtractor, FlattenExtractor, NatureCNN, encode, is_image
from custom_ppo.sb3 import CnnPolicy, MlpPolicy, MultiInputPolicy

IMAGE = spaces.Box(0, 255, (1, 36, 36), np.uint8)
TALL = spaces.Box(0, 255, (3, 44, 36), np.uint8)
NORMALIZED = spaces.Box(-1, 1, (2, 36, 40))
VECTOR = spaces.Box(-1, 1, (3,))
MIXED = spaces.Dict(
    {
        "image": TALL,
        "vector": VECTOR,
        "matrix": spaces.Box(-1, 1, (2, 2), np.float64),
        "choice": spaces.Discrete(3),
        "choices": spaces.MultiDiscrete([2, 4]),
        "switches": spaces.MultiBinary(2),
    }
)
SPACES: dict[str, spaces.Space[Any]] = {
    "vector": VECTOR,
    "matrix of doubles": spaces.Box(-1, 1, (2, 3), np.float64),
    "image": spaces.Box(0, 255, (3, 4, 5), np.uint8),
    "bytes that are no image": spaces.Box(0, 255, (6,), np.uint8),
    "bytes in other bounds": spaces.Box(0, 254, (3, 4, 5), np.uint8),
    "numbers of three axes": NORMALIZED,
    "discrete": spaces.Discrete(5),
    "multi-discrete": spaces.MultiDiscrete([2, 3]),
    "multi-binary": spaces.MultiBinary(4),
}


class TwoSums(nn.Module):
    """Features extractor of a user for Dict observations."""

    features_dim = 2

    def __init__(self, observation_space: spaces.Space[Any], scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        return self.scale * torch.stack([observations[key].flatten(1).sum(1) for key in ("image", "vector")], dim=1)


def samples(space: spaces.Space[Any], n: int) -> Any:
    """n observations as tensors; a Discrete one is stored in an axis of its own, [n, 1]."""
    space.seed(0)
    if isinstance(space, spaces.Dict):
        return {key: samples(part, n) for key, part in space.spaces.items()}
    batch = torch.as_tensor(np.array([space.sample() for _ in range(n)]))
    return batch[:, None] if isinstance(space, spaces.Discrete) else batch


def assert_same_module(ours: nn.Module, theirs: nn.Module) -> None:
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, expected in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], expected), name


def made(extractor: type[Any], space: spaces.Space[Any], **kwargs: Any) -> tuple[Any, float, Any]:
    """An extractor, torch's next random number, and the space's next sample."""
    torch.manual_seed(3)
    space.seed(4)
    return extractor(space, **kwargs), torch.rand(1).item(), space.sample()


@pytest.mark.parametrize(
    ("ours", "theirs", "space", "kwargs"),
    [
        (NatureCNN, sb3.NatureCNN, IMAGE, {}),
        (NatureCNN, sb3.NatureCNN, TALL, {"features_dim": 7}),
        (NatureCNN, sb3.NatureCNN, NORMALIZED, {"normalized_image": True}),
        (CombinedExtractor, sb3.CombinedExtractor, MIXED, {}),
        (CombinedExtractor, sb3.CombinedExtractor, MIXED, {"cnn_output_dim": 5}),
        (
            CombinedExtractor,
            sb3.CombinedExtractor,
            spaces.Dict({"a": NORMALIZED, "b": VECTOR}),
            {"normalized_image": True},
        ),
        (CombinedExtractor, sb3.CombinedExtractor, spaces.Dict({"a": NORMALIZED}), {}),
    ],
    ids=[
        "cnn",
        "narrow",
        "normalised",
        "combined",
        "narrow combined",
        "normalised combined",
        "three axes are no image",
    ],
)
def test_an_extractor_has_sb3s_weights_draws_and_features(
    ours: type[Any], theirs: type[Any], space: spaces.Space[Any], kwargs: dict[str, Any]
) -> None:
    (our, our_draw, our_sample), (their, their_draw, their_sample) = (made(c, space, **kwargs) for c in (ours, theirs))
    assert_same_module(our, their)
    assert our.features_dim == their.features_dim
    assert our_draw == their_draw
    np.testing.assert_equal(our_sample, their_sample)
    observations = encode(samples(space, 3), space)
    with torch.no_grad():
        features = our(observations)
        assert features.shape == (3, our.features_dim)
        assert torch.equal(features, their(observations))


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize(
    ("ours", "theirs", "space", "kwargs"),
    [
        (CnnPolicy, ActorCriticCnnPolicy, IMAGE, {}),
        (CnnPolicy, ActorCriticCnnPolicy, IMAGE, {"net_arch": [5], "features_extractor_kwargs": {"features_dim": 9}}),
        (CnnPolicy, ActorCriticCnnPolicy, TALL, {"ortho_init": False, "normalize_images": False}),
        (CnnPolicy, ActorCriticCnnPolicy, NORMALIZED, {"normalize_images": False}),
        (MultiInputPolicy, MultiInputActorCriticPolicy, MIXED, {}),
        (MultiInputPolicy, MultiInputActorCriticPolicy, MIXED, {"net_arch": [], "normalize_images": False}),
        (MultiInputPolicy, MultiInputActorCriticPolicy, MIXED, {"features_extractor_class": TwoSums}),
    ],
    ids=["image", "hidden layers", "bytes as they are", "normalised", "dict", "linear dict", "own extractor"],
)
def test_a_policy_has_sb3s_weights_and_answers(
    ours: type[Any], theirs: type[Any], space: spaces.Space[Any], kwargs: dict[str, Any], share: bool
) -> None:
    policies, answers = [], []
    for cls in (ours, theirs):
        torch.manual_seed(5)
        policy = cls(space, spaces.Discrete(3), lambda _: 1e-3, share_features_extractor=share, **kwargs)
        with torch.no_grad():
            answers.append([*policy(samples(space, 4)), policy.predict_values(samples(space, 4)), torch.rand(1)])
        policies.append(policy)
    assert_same_module(*policies)
    for our, their in zip(*answers, strict=True):
        assert torch.equal(our, their)


def test_the_users_arguments_for_an_extractor_are_left_as_they_are() -> None:
    kwargs = {"features_dim": 4}
    CnnPolicy(NORMALIZED, spaces.Discrete(2), lambda _: 1.0, features_extractor_kwargs=kwargs, normalize_images=False)
    assert kwargs == {"features_dim": 4}, "SB3 writes normalized_image into them"


def test_a_policy_for_images_survives_its_file(tmp_path: Any) -> None:
    policy = CnnPolicy(NORMALIZED, spaces.Discrete(2), lambda _: 1.0, normalize_images=False)
    policy.save(str(tmp_path / "policy.pt"))
    assert_same_module(CnnPolicy.load(str(tmp_path / "policy.pt")), policy)


@pytest.mark.parametrize("name", list(SPACES))
@pytest.mark.parametrize("normalize_images", [False, True])
def test_observations_are_encoded_as_sb3_encodes_them(name: str, normalize_images: bool) -> None:
    space = SPACES[name]
    batch = samples(space, 6)
    ours = encode(batch, space, normalize_images=normalize_images)
    theirs = preprocess_obs(batch, space, normalize_images)
    assert isinstance(ours, Tensor)
    assert isinstance(theirs, Tensor)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", list(SPACES))
@pytest.mark.parametrize("normalized", [False, True])
def test_the_same_spaces_are_images_as_in_sb3(name: str, normalized: bool) -> None:
    assert is_image(SPACES[name], normalized=normalized) == is_image_space(SPACES[name], normalized_image=normalized)


def test_an_observation_of_a_dict_is_encoded_key_by_key() -> None:
    space = spaces.Dict({"image": SPACES["image"], "mode": spaces.Discrete(2)})
    encoded = encode({"image": torch.full((1, 3, 4, 5), 51), "mode": torch.tensor([1])}, space)
    assert isinstance(encoded, dict)
    assert encoded["image"].flatten().tolist() == pytest.approx([0.2] * 60)
    assert encoded["mode"].tolist() == [[0.0, 1.0]]


def test_an_unsupported_observation_space_is_named() -> None:
    with pytest.raises(NotImplementedError) as error:
        encode(torch.zeros(1), spaces.Sequence(spaces.Discrete(2)))
    assert str(error.value) == "observations of Sequence(Discrete(2), stack=False) are not supported"


@pytest.mark.parametrize(
    ("name", "features"), [("matrix of doubles", 6), ("discrete", 5), ("multi-discrete", 5), ("image", 60)]
)
def test_features_are_the_flat_observation(name: str, features: int) -> None:
    extractor = FlattenExtractor(SPACES[name])
    assert extractor.features_dim == features
    encoded = encode(samples(SPACES[name], 2), SPACES[name])
    assert extractor(encoded).shape == (2, features)


@pytest.mark.parametrize(
    ("policy", "space", "kwargs", "message"),
    [
        (
            CnnPolicy,
            VECTOR,
            {},
            "a CNN needs images: a Box of three axes, uint8, from 0 to 255, got Box(-1.0, 1.0, (3,), float32); "
            "use 'MlpPolicy', or normalize_images=False where images are normalised already",
        ),
        (
            CnnPolicy,
            spaces.Box(np.zeros((2, 2)), np.arange(4).reshape(2, 2), dtype=np.float64),
            {"normalize_images": False},
            "a CNN needs a Box of three axes, got Box(0.0, [[0. 1.] [2. 3.]], (2, 2), float64); use 'MlpPolicy'",
        ),
        (
            CnnPolicy,
            spaces.Box(0, 255, (3, 40, 35), np.uint8),
            {},
            "NatureCNN needs images of at least 36 x 36 pixels, got 40 x 35 with 3 channels; "
            "use a features_extractor_class of your own",
        ),
        (
            CnnPolicy,
            spaces.Dict({"a": spaces.Discrete(2)}),
            {"normalize_images": False},
            "a CNN needs a Box of three axes, got Dict('a': Discrete(2)); use 'MultiInputPolicy'",
        ),
        (
            MultiInputPolicy,
            VECTOR,
            {},
            "'MultiInputPolicy' needs Dict observations, got Box(-1.0, 1.0, (3,), float32); "
            "use 'MlpPolicy' or 'CnnPolicy'",
        ),
    ],
    ids=["vector", "matrix", "small", "dict", "no dict"],
)
def test_a_space_that_does_not_fit_the_policy_is_refused_in_one_line(
    policy: type[MlpPolicy], space: spaces.Space[Any], kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidConfigError) as error:
        policy(space, spaces.Discrete(2), lambda _: 1.0, **kwargs)
    assert str(error.value) == message
