"""Observations become features of the compiled actor with the bits, and the errors, of the policy itself."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from custom_ppo import CustomPPO
from custom_ppo.config import InvalidConfigError
from custom_ppo.engines import FusedEngine, NativeEngine
from custom_ppo.engines.features import flat_features, to_tensors
from custom_ppo.engines.native import encoding, self_check
from custom_ppo.engines.native.encoding import encoder, layout
from custom_ppo.engines.native.library import reason_against_loading
from custom_ppo.extractors import CombinedExtractor, FlattenExtractor
from custom_ppo.networks import ActorCritic
from tests.custom_ppo.parity import assert_identical, train
from tests.probe_envs import RandomWorld

needs_kernels = pytest.mark.skipif(reason_against_loading() is not None, reason=str(reason_against_loading()))

PARTS: Mapping[str, spaces.Space[Any]] = {
    "vector": spaces.Box(-1, 1, (3,)),
    "doubles": spaces.Box(-1, 1, (2, 2), np.float64),
    "integers": spaces.Box(-(2**40), 2**40, (2,), np.int64),
    "bytes": spaces.Box(0, 255, (3,), np.uint8),
    "choice": spaces.Discrete(4),
    "one choice": spaces.Discrete(1),
    "choices": spaces.MultiDiscrete([2, 1, 5]),
    "choice in a row": spaces.MultiDiscrete([3]),
    "switches": spaces.MultiBinary(3),
    "rows of switches": spaces.MultiBinary([2, 3]),
}
SPACES: Mapping[str, spaces.Space[Any]] = {
    **PARTS,
    "image": spaces.Box(0, 255, (4, 3, 3), np.uint8),
    "all in one": spaces.Dict(PARTS),
    "one key": spaces.Dict({"choices": PARTS["choices"]}),
}


def make_policy(space: spaces.Space[Any], **network: Any) -> ActorCritic:
    torch.manual_seed(0)
    extractor = CombinedExtractor if isinstance(space, spaces.Dict) else FlattenExtractor
    return ActorCritic(space, spaces.Discrete(2), make_features_extractor=extractor, **network)


def observed(space: spaces.Space[Any], n: int) -> Any:
    """Return n observations as a vector environment returns them."""
    space.seed(n)
    samples: list[Any] = [space.sample() for _ in range(n)]
    if isinstance(space, spaces.Dict):
        return {key: np.stack([sample[key] for sample in samples]) for key in space}
    return np.stack(samples)


def encoded(policy: ActorCritic, observations: Any, n: int) -> NDArray[np.float32]:
    features = np.full((n, int(policy.features_extractor.features_dim)), np.nan, np.float32)  # type: ignore[arg-type]
    encoder(policy, features)(observations)
    return features


@pytest.mark.parametrize("normalize_images", [True, False])
@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("name", list(SPACES))
def test_features_are_those_of_the_policys_extractor(name: str, n: int, normalize_images: bool) -> None:
    policy = make_policy(SPACES[name], normalize_images=normalize_images)
    observations = observed(SPACES[name], n)
    found = encoded(policy, observations, n)
    expected = policy.features_extractor(policy._encode(to_tensors(observations)))
    assert np.array_equal(found, expected.numpy())
    assert torch.equal(flat_features(policy, to_tensors(observations)), expected)
    assert sum(width for _, width in layout(policy)) == found.shape[1]


def test_keys_have_the_order_of_the_space_and_not_of_an_observation() -> None:
    space = SPACES["all in one"]
    policy, observations = make_policy(space), observed(space, 2)
    shuffled = {key: observations[key] for key in reversed(observations)}
    assert np.array_equal(encoded(policy, shuffled, 2), encoded(policy, observations, 2))


def test_a_normalised_observation_is_no_longer_bytes() -> None:
    numbers = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    assert np.array_equal(encoded(make_policy(PARTS["bytes"]), numbers, 2), numbers)


@pytest.mark.parametrize(
    ("space", "observations"),
    [
        (spaces.Discrete(3), np.array([0, 3])),
        (spaces.Discrete(3), np.array([0, -1])),
        (spaces.MultiDiscrete([2, 3]), np.array([[0, 0], [2, 0]])),
        (spaces.Dict({"a": spaces.Discrete(2), "b": PARTS["vector"]}), {"a": np.array([0, 5]), "b": np.zeros((2, 3))}),
        (spaces.Dict({"a": spaces.Discrete(2)}), {"a": np.array([0, 1]), "unknown": np.zeros((2, 3))}),
    ],
    ids=["too large", "negative", "second number", "Dict", "unknown key"],
)
def test_what_does_not_belong_to_the_space_raises_the_policys_error(
    space: spaces.Space[Any], observations: Any
) -> None:
    policy, errors = make_policy(space), []
    for act in (lambda: encoded(policy, observations, 2), lambda: policy(to_tensors(observations))):
        with pytest.raises((RuntimeError, KeyError)) as error:
            act()
        errors.append((error.type, str(error.value)))
    assert errors[0] == errors[1]


def test_choices_that_are_fractions_are_truncated_as_by_pytorch() -> None:
    found = encoded(make_policy(spaces.Discrete(3)), np.array([1.7, 2.0]), 2)
    assert found.tolist() == [[0, 1, 0], [0, 0, 1]]


MIXED = spaces.Dict({key: PARTS[key] for key in ("vector", "doubles", "choice", "choices", "switches")})
TRAININGS: Mapping[str, tuple[spaces.Space[Any], dict[str, Any]]] = {
    "Dict": (MIXED, {}),
    "Dict, gSDE": (MIXED, {"use_sde": True, "sde_sample_freq": 4}),
    "Dict, two extractors": (MIXED, {"policy_kwargs": {"share_features_extractor": False, "net_arch": [7]}}),
    "Dict without hidden layers": (MIXED, {"policy_kwargs": {"net_arch": []}}),
    "Discrete": (PARTS["choice"], {}),
    "MultiDiscrete": (PARTS["choices"], {}),
    "MultiBinary": (PARTS["switches"], {}),
}


def normalized(env: VecEnv) -> VecEnv:
    return VecNormalize(env, norm_obs_keys=["doubles", "vector"])


@needs_kernels
@pytest.mark.parametrize("wrap", [lambda env: env, normalized], ids=["", "VecNormalize"])
@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("name", list(TRAININGS))
def test_training_on_other_observations_is_sb3s(
    name: str, n_envs: int, wrap: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    space, kwargs = TRAININGS[name]
    if wrap is normalized and not isinstance(space, spaces.Dict):
        pytest.skip("choices are not normalised")
    monkeypatch.setattr(self_check, "results", {})
    world = functools.partial(RandomWorld, space, spaces.Box(-1, 1, (2,)))
    policy = "MultiInputPolicy" if isinstance(space, spaces.Dict) else "MlpPolicy"
    kwargs = {"policy": policy, "n_iterations": 4, "learning_rate": 3e-3, "wrap": wrap, **kwargs}
    ours = train(CustomPPO, world, n_envs, engine="native", **kwargs)
    assert_identical(ours, train(PPO, world, n_envs, **kwargs))
    assert isinstance(ours.model.agent.engine, NativeEngine)
    assert {key[0] for key in self_check.results} == {"act", "update"}, "the kernels must have been used"
    assert all(self_check.results.values()), self_check.results


@needs_kernels
def test_a_dict_with_an_image_is_left_to_the_fused_engine() -> None:
    space = spaces.Dict({"image": spaces.Box(0, 255, (1, 36, 36), np.uint8), "vector": PARTS["vector"]})
    world = RandomWorld(space, spaces.Discrete(2))
    assert type(CustomPPO("MultiInputPolicy", world, device="cpu").agent.engine) is FusedEngine
    with pytest.raises(InvalidConfigError, match="features are extracted by NatureCNN"):
        CustomPPO("MultiInputPolicy", world, device="cpu", engine="native")


@needs_kernels
def test_a_wrong_encoding_is_found_out_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    one_hot = encoding._one_hot

    def mirrored(space: Any, columns: NDArray[np.float32]) -> Any:
        return one_hot(space, columns[:, ::-1])

    monkeypatch.setattr(self_check, "results", {})
    world = functools.partial(RandomWorld, MIXED, spaces.Discrete(2))
    kwargs: dict[str, Any] = {"policy": "MultiInputPolicy", "n_iterations": 2}
    monkeypatch.setattr(encoding, "_one_hot", mirrored)
    with pytest.warns(UserWarning, match="acting in 2 states"):
        ours = train(CustomPPO, world, 2, engine="native", **kwargs)
    assert [key[0] for key, agrees in self_check.results.items() if not agrees] == ["act"]
    assert_identical(ours, train(PPO, world, 2, **kwargs))
