"""The fused engine gives autograd's bits: weights, optimiser state, reports and gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn

from custom_ppo.agent import PPOAgent, UpdateReport
from custom_ppo.config import PPOConfig
from custom_ppo.engines import FusedEngine, flat, heads, layers, reason_against
from custom_ppo.networks import ActorCritic
from tests.custom_ppo.engines.spaces_to_fuse import ACTIONS, VECTOR
from tests.custom_ppo.loops import Loop, learned_state, make_agent
from tests.probe_envs import RandomWorld

BOLD: dict[str, Any] = {"n_steps": 24, "batch_size": 16, "n_epochs": 3, "learning_rate": 1e-2, "clip_range": 0.1}
"""Steps so large that ratios leave the clip on both sides."""

CONFIGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "entropy": {"ent_coef": 0.05},
    "clipped values": {"clip_range_vf": 0.05, "ent_coef": 0.01},
    "a batch that does not divide": {"batch_size": 20},
    "a last minibatch of one": {"batch_size": 47},
    "the whole batch": {"batch_size": None},
    "advantages as they are": {"normalize_advantage": False},
    "tiny gradients": {"max_grad_norm": 1e-3},
    "no clipping of gradients": {"max_grad_norm": float("inf")},
    "no critic": {"vf_coef": 0.0},
    "early stopping": {"target_kl": 0.003, "ent_coef": 0.01},
}

NETWORKS: dict[str, dict[str, Any]] = {
    "tanh": {},
    "relu": {"net_arch": [9, 7], "activation_fn": nn.ReLU},
    "uneven": {"net_arch": {"pi": [5], "vf": [17, 3]}},
    "linear": {"net_arch": []},
    "wide": {"net_arch": [33], "ortho_init": False},
    "separate extractors": {"share_features_extractor": False},
}

Outcome = tuple[list[Tensor], list[UpdateReport]]


def history(
    engine: str,
    actions: spaces.Space[Any],
    config: dict[str, Any],
    n_updates: int = 4,
    watch: Callable[[PPOAgent], None] = lambda _: None,
    tamper: Callable[[PPOAgent], None] = lambda _: None,
    **net: Any,
) -> Outcome:
    """Weights and optimiser state after some updates, and the report of each.

    watch: called with the new agent; tamper: called between every rollout and its update.
    """
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    agent = make_agent(RandomWorld(VECTOR, actions), PPOConfig(**{**BOLD, **config}), n_envs=2, **net)
    if engine == "fused":
        assert reason_against(agent.policy, agent.optimizer, agent.recipe) is None
        assert isinstance(agent.policy, ActorCritic)
        agent.engine = FusedEngine(agent.policy, agent.optimizer, agent.recipe)
    watch(agent)
    loop = Loop(lambda: RandomWorld(VECTOR, copy.deepcopy(actions)), n_envs=2)
    reports = []
    for progress in range(n_updates, 0, -1):
        loop.collect(agent)
        tamper(agent)
        reports.append(agent.update(progress / n_updates))
    return learned_state(agent), reports


def assert_same(ours: Outcome, theirs: Outcome) -> None:
    for a, b in zip(ours[1], theirs[1], strict=True):
        assert asdict(a) == asdict(b)
    for i, (our, their) in enumerate(zip(ours[0], theirs[0], strict=True)):
        assert torch.equal(our, their), f"tensor {i} of shape {tuple(our.shape)}"


@pytest.mark.parametrize("actions", ["discrete", "box"])
@pytest.mark.parametrize("config", list(CONFIGS))
def test_every_setting_gives_autograds_bits(config: str, actions: str) -> None:
    settings = CONFIGS[config]
    expected = history("autograd", ACTIONS[actions], settings)
    assert_same(history("fused", ACTIONS[actions], settings), expected)
    if "target_kl" in settings:
        assert any(report.stopped_early for report in expected[1])
    if config == "defaults":
        assert max(expected[1][-1].clip_fractions) > 0.1, "an example in which nothing is clipped shows little"


@pytest.mark.parametrize("actions", list(ACTIONS))
@pytest.mark.parametrize("network", list(NETWORKS))
def test_every_network_gives_autograds_bits(network: str, actions: str) -> None:
    settings = {"ent_coef": 0.01, "clip_range_vf": 0.2}
    outcomes = [history(engine, ACTIONS[actions], settings, **NETWORKS[network]) for engine in ("fused", "autograd")]
    assert_same(*outcomes)


def at_the_border(engine: str) -> Outcome:
    """One update in which every ratio lies within some last bits of 1 - epsilon or 1 + epsilon."""

    def move_old_policy(agent: PPOAgent) -> None:
        rng, memory = np.random.default_rng(0), agent.memory
        borders = np.log(np.array([0.8, 1.2], np.float32))[rng.integers(2, size=memory.log_probs.shape)]
        last_bits = rng.integers(-3, 4, size=borders.shape) * np.float32(2**-22)
        memory.log_probs = (memory.log_probs - borders * (1 + last_bits)).astype(np.float32)

    settings = {"n_steps": 400, "batch_size": None, "n_epochs": 1, "normalize_advantage": False, "clip_range": 0.2}
    return history(engine, ACTIONS["discrete"], settings, n_updates=1, tamper=move_old_policy)


def test_ratios_at_the_border_of_the_clip_give_autograds_bits() -> None:
    # Just outside, both branches of the minimum may round to one number: autograd then passes on half the gradient.
    fused_outcome, expected = at_the_border("fused"), at_the_border("autograd")
    assert_same(fused_outcome, expected)
    assert 0.2 < expected[1][0].clip_fractions[0] < 0.8, "the examples must lie on both sides of the border"


def observed(engine: str, actions: spaces.Space[Any]) -> list[tuple[str, list[Tensor], list[Tensor]]]:
    """Return what an observer sees in one update: the stage, all gradients and all weights."""
    seen: list[tuple[str, list[Tensor], list[Tensor]]] = []

    def watch(agent: PPOAgent) -> None:
        def observe(stage: str) -> None:
            parameters = list(agent.policy.parameters())
            gradients = [p.grad.clone() for p in parameters if p.grad is not None]
            seen.append((stage, gradients, [p.detach().clone() for p in parameters]))

        agent.observer = observe

    history(engine, actions, {"max_grad_norm": 0.01, "ent_coef": 0.01}, n_updates=1, watch=watch)
    return seen


@pytest.mark.parametrize("actions", ["discrete", "box"])
def test_an_observer_sees_the_same_gradients_in_both_engines(actions: str) -> None:
    ours, theirs = observed("fused", ACTIONS[actions]), observed("autograd", ACTIONS[actions])
    assert [stage for stage, *_ in ours] == ["gradient", "step"] * 9, "three epochs of three minibatches"
    for (stage, *our_tensors), (their_stage, *their_tensors) in zip(ours, theirs, strict=True):
        assert stage == their_stage
        for our_list, their_list in zip(our_tensors, their_tensors, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(our_list, their_list, strict=True))


def test_an_observer_sees_the_gradient_before_it_is_clipped_and_the_step_after() -> None:
    (_, raw, before), (_, clipped, after), *_ = observed("fused", ACTIONS["discrete"])
    raw_norm, clipped_norm = (torch.cat([g.flatten() for g in gradients]).norm() for gradients in (raw, clipped))
    assert raw_norm > 0.1
    assert clipped_norm.item() == pytest.approx(0.01, rel=1e-3)
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200))
def test_random_settings_give_autograds_bits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    actions = ACTIONS[str(rng.choice(list(ACTIONS)))]
    settings = {**CONFIGS[str(rng.choice(list(CONFIGS)))], "ent_coef": float(rng.choice([0.0, 0.01]))}
    network = {
        "net_arch": rng.integers(1, 70, size=rng.integers(0, 4)).tolist(),
        "activation_fn": (nn.Tanh, nn.ReLU)[rng.integers(2)],
    }
    outcomes = [history(engine, actions, settings, n_updates=30, **network) for engine in ("fused", "autograd")]
    assert_same(*outcomes)


def wrong_sign_of_value(monkeypatch: pytest.MonkeyPatch) -> None:
    backward = layers.Stack.backward
    monkeypatch.setattr(layers.Stack, "backward", lambda self, grad, **to: backward(self, -grad, **to))


def entropy_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    backward = heads.CategoricalHead.backward
    monkeypatch.setattr(heads.CategoricalHead, "backward", lambda self, grad, _ent: backward(self, grad, 0.0))


def one_ulp_of_the_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    backward = heads.CategoricalHead.backward
    monkeypatch.setattr(heads.CategoricalHead, "backward", lambda self, *args: backward(self, *args) * (1 + 2**-22))


def another_epsilon(monkeypatch: pytest.MonkeyPatch) -> None:
    step = flat.FlatAdam.step

    def faulty(self: Any, max_grad_norm: float) -> None:
        self.optimizer.param_groups[0]["eps"] = 1e-8
        step(self, max_grad_norm)

    monkeypatch.setattr(flat.FlatAdam, "step", faulty)


@pytest.mark.parametrize("plant", [wrong_sign_of_value, entropy_left_out, one_ulp_of_the_logits, another_epsilon])
def test_a_planted_fault_is_detected(plant: Callable[[pytest.MonkeyPatch], None]) -> None:
    settings = {"ent_coef": 0.01}
    expected = history("autograd", ACTIONS["discrete"], settings)
    with pytest.MonkeyPatch.context() as monkeypatch:
        plant(monkeypatch)
        faulty = history("fused", ACTIONS["discrete"], settings)
    with pytest.raises(AssertionError):
        assert_same(faulty, expected)
