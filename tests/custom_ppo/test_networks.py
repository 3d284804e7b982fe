from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from custom_ppo.networks import ActorCritic, TwinMLP, orthogonal
from custom_ppo.sb3 import MlpPolicy

VECTOR = spaces.Box(-1, 1, (3,))


class LinearExtractor(BaseFeaturesExtractor):
    """Has weights of its own, so that the order of their initialisation shows."""

    def __init__(self, observation_space: spaces.Space[Any], features_dim: int = 5) -> None:
        super().__init__(observation_space, features_dim)
        self.linear = nn.Linear(spaces.flatdim(observation_space), features_dim)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.linear(observations))


OBSERVATIONS: dict[str, spaces.Space[Any]] = {
    "vector": VECTOR,
    "matrix of doubles": spaces.Box(-1, 1, (2, 3), np.float64),
    "image": spaces.Box(0, 255, (3, 4, 5), np.uint8),
    "bytes that are no image": spaces.Box(0, 255, (6,), np.uint8),
    "discrete": spaces.Discrete(5),
    "multi-discrete": spaces.MultiDiscrete([2, 3]),
    "multi-binary": spaces.MultiBinary(4),
}
ACTIONS: dict[str, spaces.Space[Any]] = {
    "discrete": spaces.Discrete(3),
    "box": spaces.Box(-2, 2, (2,)),
    "matrix": spaces.Box(-2, 2, (2, 2)),
    "multi-discrete": spaces.MultiDiscrete([2, 4]),
    "multi-binary": spaces.MultiBinary(3),
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "one list": {"net_arch": [5]},
    "separate": {"net_arch": {"pi": [7, 6, 5], "vf": [4]}, "activation_fn": nn.ReLU},
    "only an actor": {"net_arch": {"pi": [7]}},
    "no hidden layers": {"net_arch": []},
    "not orthogonal": {"ortho_init": False, "log_std_init": -1.5, "activation_fn": nn.ELU},
    "separate extractors": {"share_features_extractor": False},
    "extractor with weights": {"features_extractor_class": LinearExtractor},
    "separate extractors with weights": {
        "features_extractor_class": LinearExtractor,
        "features_extractor_kwargs": {"features_dim": 7},
        "share_features_extractor": False,
    },
}
GSDE: dict[str, dict[str, Any]] = {
    "plain": {},
    "squashed": {"squash_output": True, "log_std_init": -2.0},
    "small": {"full_std": False, "use_expln": True, "net_arch": [5]},
}


def both(observations: spaces.Space[Any], actions: spaces.Space[Any], **kwargs: Any) -> tuple[MlpPolicy, Any]:
    """Our policy and SB3's, made under one seed; both must leave the generator in one place."""
    torch.manual_seed(11)
    ours = MlpPolicy(observations, actions, lambda _: 1e-3, **kwargs)
    our_next = torch.rand(1)
    torch.manual_seed(11)
    theirs = ActorCriticPolicy(observations, actions, lambda _: 1e-3, **kwargs)
    assert our_next == torch.rand(1), "another number of random draws was made"
    return ours, theirs


def samples(space: spaces.Space[Any], n: int) -> torch.Tensor:
    space.seed(0)
    return torch.as_tensor(np.array([space.sample() for _ in range(n)]))


def assert_equal_policies(ours: MlpPolicy, theirs: Any) -> None:
    state, reference = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(reference)
    for name, expected in reference.items():
        assert torch.equal(state[name], expected), name
    # The optimiser knows parameters by their place, so files of optimiser states need the same order.
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]


def assert_equal_answers(ours: MlpPolicy, theirs: Any, observations: torch.Tensor) -> None:
    answers = []
    for policy in (ours, theirs):
        torch.manual_seed(1)
        with torch.no_grad():
            answers.append([*policy(observations), *policy(observations, deterministic=True)[:1]])
            actions = answers[0][0]  # SB3 judges our actions, as its own are the same
            judged = policy.evaluate_actions(observations, actions.reshape(len(actions), -1).squeeze(1))
            answers[-1] += [answer for answer in judged if answer is not None]
            answers[-1].append(policy.predict_values(observations))
    assert len(answers[0]) == len(answers[1])
    for our, their in zip(*answers, strict=True):
        assert our.shape == their.shape
        assert torch.equal(our, their)


@pytest.mark.parametrize("actions", list(ACTIONS))
@pytest.mark.parametrize("observations", list(OBSERVATIONS))
def test_every_pair_of_spaces_gives_sb3s_weights_and_answers(observations: str, actions: str) -> None:
    ours, theirs = both(OBSERVATIONS[observations], ACTIONS[actions])
    assert_equal_policies(ours, theirs)
    assert_equal_answers(ours, theirs, samples(OBSERVATIONS[observations], 6))


@pytest.mark.parametrize("actions", ["discrete", "box"])
@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_every_architecture_gives_sb3s_weights_and_answers(architecture: str, actions: str) -> None:
    ours, theirs = both(VECTOR, ACTIONS[actions], **ARCHITECTURES[architecture])
    assert_equal_policies(ours, theirs)
    assert_equal_answers(ours, theirs, samples(VECTOR, 6))


@pytest.mark.parametrize("variant", list(GSDE))
def test_gsde_gives_sb3s_weights_and_noise(variant: str) -> None:
    ours, theirs = both(VECTOR, ACTIONS["box"], use_sde=True, **GSDE[variant])
    assert_equal_policies(ours, theirs)
    assert_equal_answers(ours, theirs, samples(VECTOR, 6))
    for policy in (ours, theirs):
        torch.manual_seed(2)
        policy.reset_noise(6)
    assert_equal_answers(ours, theirs, samples(VECTOR, 6))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Text(3), "actions of Text(1, 3, charset=) are not supported"),
        (
            spaces.MultiDiscrete(np.array([[2, 3], [4, 5]])),
            "actions of MultiDiscrete([[2 3]\n [4 5]]) are not supported",
        ),
        (spaces.MultiBinary([2, 2]), "actions of MultiBinary((2, 2)) are not supported"),
    ],
    ids=["text", "matrix of choices", "matrix of switches"],
)
def test_an_unsupported_action_space_is_named(space: spaces.Space[Any], message: str) -> None:
    with pytest.raises(NotImplementedError) as error:
        ActorCritic(VECTOR, space)
    supported = "Box, Discrete, and one-dimensional MultiDiscrete and MultiBinary are"
    assert str(error.value) == message.replace("charset=", f"charset={spaces.Text(3).characters}") + f"; {supported}"


def test_noise_is_drawn_anew_only_with_gsde() -> None:
    with pytest.raises(ValueError, match=r"^reset_noise\(\) is only available when using gSDE \(use_sde=True\)$"):
        ActorCritic(VECTOR, ACTIONS["box"]).reset_noise()


def test_orthogonal_weights_are_orthogonal_and_biases_zero() -> None:
    layer = nn.Linear(6, 4)
    orthogonal(layer, gain=2.0)
    torch.testing.assert_close(layer.weight @ layer.weight.T, 4 * torch.eye(4))
    assert not layer.bias.any()


def test_a_layer_without_a_bias_can_be_orthogonal_and_other_modules_are_left_alone() -> None:
    layer, norm = nn.Conv2d(1, 4, 2, bias=False), nn.LayerNorm(3)
    orthogonal(layer, gain=1.0)
    orthogonal(norm, gain=5.0)
    torch.testing.assert_close(layer.weight.flatten(1) @ layer.weight.flatten(1).T, torch.eye(4))
    assert norm.weight.tolist() == [1.0, 1.0, 1.0]


def test_layers_can_be_initialised_in_another_way() -> None:
    asked: list[tuple[str, float]] = []

    def ones(module: nn.Module, gain: float) -> None:
        asked.append((type(module).__name__, round(gain, 2)))
        if isinstance(module, nn.Linear):
            nn.init.ones_(module.weight)

    model = ActorCritic(VECTOR, ACTIONS["box"], net_arch=[4], initialise=ones)
    assert {gain for name, gain in asked if name == "Linear"} == {0.01, 1.0, 1.41}
    assert all((layer.weight == 1).all() for layer in model.modules() if isinstance(layer, nn.Linear))


def test_the_first_policy_is_almost_uniform() -> None:
    torch.manual_seed(0)
    policy = ActorCritic(VECTOR, spaces.Discrete(4))
    probabilities = policy.get_distribution(torch.randn(20, 3)).log_prob(torch.zeros(20, dtype=torch.long)).exp()
    torch.testing.assert_close(probabilities, torch.full((20,), 0.25), atol=0.01, rtol=0)


def test_actor_and_critic_share_no_hidden_layer() -> None:
    twins = TwinMLP(3, [4, 5], nn.Tanh)
    assert not {id(p) for p in twins.policy_net.parameters()} & {id(p) for p in twins.value_net.parameters()}
    assert (twins.latent_dim_pi, twins.latent_dim_vf) == (5, 5)
