from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from custom_ppo import CustomPPO
from custom_ppo.agent import PPOAgent, UpdateReport
from custom_ppo.config import InvalidConfigError, PPOConfig
from custom_ppo.engines import AutogradEngine, FusedEngine, fused, reason_against
from custom_ppo.extractors import FlattenExtractor
from custom_ppo.losses import kl_penalty, normalize_advantages
from custom_ppo.networks import ActorCritic
from custom_ppo.recipe import CLEANRL_PPO, PPO_PENALTY, SB3_A2C, SB3_PPO, PolicyLoss, Recipe, adam
from tests.custom_ppo.loops import Loop, make_agent
from tests.probe_envs import RandomWorld

VECTOR = spaces.Box(-1, 1, (3,))
ACTIONS: dict[str, spaces.Space[Any]] = {
    "discrete": spaces.Discrete(3),
    "one choice": spaces.Discrete(1),
    "box": spaces.Box(-1, 1, (2,)),
    "matrix": spaces.Box(-1, 1, (2, 3)),
}
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
    return state_of(agent), reports


def state_of(agent: PPOAgent) -> list[Tensor]:
    states = agent.optimizer.state
    kept = [states[p][name] for p in agent.policy.parameters() for name in ("step", "exp_avg", "exp_avg_sq")]
    return [tensor.detach().clone() for tensor in (*agent.policy.parameters(), *kept)]


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
    backward = fused._Stack.backward
    monkeypatch.setattr(fused._Stack, "backward", lambda self, grad: backward(self, -grad))


def entropy_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    backward = fused._CategoricalHead.backward
    monkeypatch.setattr(fused._CategoricalHead, "backward", lambda self, grad, _ent, n: backward(self, grad, 0.0, n))


def one_ulp_of_the_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    backward = fused._CategoricalHead.backward
    monkeypatch.setattr(fused._CategoricalHead, "backward", lambda self, *args: backward(self, *args) * (1 + 2**-22))


def another_epsilon(monkeypatch: pytest.MonkeyPatch) -> None:
    step = fused._FlatAdam.step

    def faulty(self: Any, max_grad_norm: float) -> None:
        self.optimizer.param_groups[0]["eps"] = 1e-8
        step(self, max_grad_norm)

    monkeypatch.setattr(fused._FlatAdam, "step", faulty)


@pytest.mark.parametrize("plant", [wrong_sign_of_value, entropy_left_out, one_ulp_of_the_logits, another_epsilon])
def test_a_planted_fault_is_detected(plant: Callable[[pytest.MonkeyPatch], None]) -> None:
    settings = {"ent_coef": 0.01}
    expected = history("autograd", ACTIONS["discrete"], settings)
    with pytest.MonkeyPatch.context() as monkeypatch:
        plant(monkeypatch)
        faulty = history("fused", ACTIONS["discrete"], settings)
    with pytest.raises(AssertionError):
        assert_same(faulty, expected)


# Why an update may not be fused


class OwnExtractor(FlattenExtractor):
    def forward(self, observations: Tensor) -> Tensor:
        return 2 * super().forward(observations)


class OwnLatents(ActorCritic):
    def _latents(self, obs: Any) -> tuple[Tensor, Tensor]:
        return super()._latents(obs)


def policy_with(actions: spaces.Space[Any] = ACTIONS["discrete"], **network: Any) -> ActorCritic:
    return ActorCritic(VECTOR, actions, net_arch=[4], **network)


def adam_for(policy: nn.Module, **settings: Any) -> torch.optim.Adam:
    return torch.optim.Adam(policy.parameters(), lr=1e-3, **settings)


def changed(change: Callable[[ActorCritic], Any], then: Callable[[ActorCritic], Any] = adam_for) -> tuple[Any, Any]:
    policy = policy_with()
    change(policy)
    return policy, then(policy)


def hooked(optimizer: torch.optim.Adam, hook: Callable[[torch.optim.Adam], Any]) -> torch.optim.Adam:
    hook(optimizer)
    return optimizer


def tie(policy: ActorCritic) -> None:
    policy.mlp_extractor.value_net[0] = policy.mlp_extractor.policy_net[0]


def two_groups(policy: ActorCritic) -> torch.optim.Adam:
    first, *rest = policy.parameters()
    return torch.optim.Adam([{"params": [first]}, {"params": rest}])


def uneven_steps(policy: ActorCritic) -> torch.optim.Adam:
    optimizer = adam_for(policy)
    policy.value_net.bias.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()  # moves only what has a gradient
    return optimizer


def value_bias(policy: ActorCritic) -> Any:
    return policy.value_net.bias


def nothing(*_: Any) -> None:
    """A hook, or what stands for one."""


REASONS: dict[str, tuple[Callable[[], tuple[Any, Any]], str]] = {
    "linear module": (lambda: ((net := nn.Linear(3, 2)), adam_for(net)), "Linear is not a policy of custom_ppo"),
    "subclass with its own latents": (
        lambda: ((policy := OwnLatents(VECTOR, ACTIONS["discrete"])), adam_for(policy)),
        "OwnLatents has its own _latents",
    ),
    "method wrapped on one policy": (
        lambda: changed(lambda policy: setattr(policy, "evaluate_actions", lambda *a: a)),
        "ActorCritic has its own evaluate_actions",
    ),
    "MultiDiscrete": (
        lambda: ((policy := policy_with(spaces.MultiDiscrete([2, 2]))), adam_for(policy)),
        "actions are MultiDiscrete",
    ),
    "MultiBinary": (
        lambda: ((policy := policy_with(spaces.MultiBinary(2))), adam_for(policy)),
        "actions are MultiBinary",
    ),
    "gSDE": (
        lambda: ((policy := policy_with(ACTIONS["box"], use_sde=True)), adam_for(policy)),
        "exploration is state-dependent",
    ),
    "subclass of the extractor": (
        lambda: ((policy := policy_with(make_features_extractor=OwnExtractor)), adam_for(policy)),
        "features are extracted by OwnExtractor",
    ),
    "critic's extractor replaced": (
        lambda: changed(lambda policy: setattr(policy, "vf_features_extractor", OwnExtractor(VECTOR))),
        "features are extracted by OwnExtractor",
    ),
    "another activation": (
        lambda: ((policy := policy_with(activation_fn=nn.ELU)), adam_for(policy)),
        "a layer is ELU",
    ),
    "head replaced by layers": (
        lambda: changed(lambda policy: setattr(policy, "action_net", nn.Sequential(nn.Linear(4, 3)))),
        "a layer is Sequential",
    ),
    "weights shared by layers": (lambda: changed(tie), "a parameter is shared by two layers, or belongs to none"),
    "parameter without a layer": (
        lambda: changed(lambda policy: policy.register_parameter("spare", nn.Parameter(torch.zeros(1)))),
        "a parameter is shared by two layers, or belongs to none",
    ),
    "frozen parameter": (
        lambda: changed(lambda policy: policy.value_net.bias.requires_grad_(False)),
        "a parameter is not a trained float32 on the CPU",
    ),
    "double precision": (
        lambda: changed(lambda policy: policy.double()),
        "a parameter is not a trained float32 on the CPU",
    ),
    "hook on a gradient": (
        lambda: changed(lambda policy: value_bias(policy).register_hook(nothing)),
        "a hook watches a gradient",
    ),
    "hook after a gradient": (
        lambda: changed(lambda policy: value_bias(policy).register_post_accumulate_grad_hook(nothing)),
        "a hook watches a gradient",
    ),
    "forward hook": (
        lambda: changed(lambda policy: policy.value_net.register_forward_hook(nothing)),
        "a hook watches a layer",
    ),
    "forward hook on the policy": (
        lambda: changed(lambda policy: policy.register_forward_pre_hook(nothing)),
        "a hook watches a layer",
    ),
    "backward hook": (
        lambda: changed(lambda policy: policy.value_net.register_full_backward_hook(nothing)),
        "a hook watches a layer",
    ),
    "backward pre-hook": (
        lambda: changed(lambda policy: policy.value_net.register_full_backward_pre_hook(nothing)),
        "a hook watches a layer",
    ),
    "forward wrapped on one layer": (
        lambda: changed(lambda policy: setattr(policy.value_net, "forward", lambda x: x)),
        "a hook watches a layer",
    ),
    "SGD": (lambda: changed(nothing, lambda p: torch.optim.SGD(p.parameters())), "the optimiser is SGD"),
    "AdamW": (lambda: changed(nothing, lambda p: torch.optim.AdamW(p.parameters())), "the optimiser is AdamW"),
    "two groups": (lambda: changed(nothing, two_groups), "the optimiser has other parameters than the policy"),
    "some parameters": (
        lambda: changed(nothing, lambda p: torch.optim.Adam(list(p.parameters())[:3])),
        "the optimiser has other parameters than the policy",
    ),
    "parameters of another policy": (
        lambda: changed(nothing, lambda _: adam_for(policy_with())),
        "the optimiser has other parameters than the policy",
    ),
    "weight decay": (
        lambda: changed(nothing, lambda p: adam_for(p, weight_decay=0.1)),
        "Adam is set to weight_decay",
    ),
    "amsgrad and maximize": (
        lambda: changed(nothing, lambda p: adam_for(p, amsgrad=True, maximize=True)),
        "Adam is set to amsgrad, maximize",
    ),
    "tensor betas": (
        lambda: changed(nothing, lambda p: adam_for(p, betas=(torch.tensor(0.9), torch.tensor(0.99)), foreach=False)),
        "Adam is set to tensor betas",
    ),
    "steps that differ": (
        lambda: changed(nothing, uneven_steps),
        "some parameters have made more steps than others",
    ),
    "hook before a step": (
        lambda: changed(nothing, lambda p: hooked(adam_for(p), lambda o: o.register_step_pre_hook(nothing))),
        "a hook watches the optimiser",
    ),
    "hook after a step": (
        lambda: changed(nothing, lambda p: hooked(adam_for(p), lambda o: o.register_step_post_hook(nothing))),
        "a hook watches the optimiser",
    ),
    "scheduler wraps the step": (
        lambda: changed(nothing, lambda p: hooked(adam_for(p), lambda o: setattr(o, "step", nothing))),
        "a hook watches the optimiser",
    ),
}


@pytest.mark.parametrize("thing", list(REASONS))
def test_the_reason_against_fusing_is_named(thing: str) -> None:
    build, reason = REASONS[thing]
    assert reason_against(*build(), SB3_PPO) == reason


@pytest.mark.parametrize("register", ["register_module_forward_hook", "register_module_full_backward_hook"])
def test_a_hook_on_all_modules_is_respected(register: str) -> None:
    handle = getattr(nn.modules.module, register)(nothing)
    try:
        assert reason_against(*changed(nothing), SB3_PPO) == "a hook watches a layer"
    finally:
        handle.remove()


def test_a_hook_on_all_optimisers_is_respected() -> None:
    handle = register_optimizer_step_post_hook(nothing)
    try:
        assert reason_against(*changed(nothing), SB3_PPO) == "a hook watches the optimiser"
    finally:
        handle.remove()


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (SB3_A2C, "the recipe has its own policy_loss"),
        (
            SB3_PPO.replace(policy_loss=PolicyLoss(kl_penalty), value_loss=nn.functional.l1_loss),
            "the recipe has its own policy_loss, value_loss",
        ),
        (SB3_PPO.replace(clip_gradients=nothing), "the recipe has its own clip_gradients"),
        (PPO_PENALTY, "the recipe has its own policy_loss"),
        (CLEANRL_PPO, "the recipe has its own value_loss, clip_values"),
        (SB3_PPO.replace(minibatch_order=np.arange), None),
        (SB3_PPO.replace(normalize_advantages=lambda a: normalize_advantages(a)), None),
        (SB3_PPO.replace(optimizer=lambda parameters, lr: adam(parameters, lr)), None),
    ],
)
def test_recipes_are_fused_only_where_their_own_parts_are_called(recipe: Recipe, reason: str | None) -> None:
    assert reason_against(*changed(nothing), recipe) == reason


@pytest.mark.parametrize("actions", ["discrete", "box"])
def test_a_plain_mlp_can_be_fused(actions: str) -> None:
    policy = policy_with(ACTIONS[actions])
    assert reason_against(policy, adam_for(policy), SB3_PPO) is None


# Behind CustomPPO


def model(engine: Any, **kwargs: Any) -> CustomPPO:
    return CustomPPO(
        "MlpPolicy", "CartPole-v1", n_steps=32, batch_size=16, n_epochs=2, seed=0, device="cpu", engine=engine, **kwargs
    )


def assert_same_models(ours: CustomPPO, theirs: CustomPPO) -> None:
    for our, their in zip(state_of(ours.agent), state_of(theirs.agent), strict=True):
        assert torch.equal(our, their)


def test_auto_is_fused_where_possible() -> None:
    assert isinstance(model("auto").agent.engine, FusedEngine)
    assert isinstance(model("autograd").agent.engine, AutogradEngine)
    assert isinstance(model("auto", recipe=SB3_A2C).agent.engine, AutogradEngine)


def test_asking_for_what_is_impossible_says_why() -> None:
    with pytest.raises(InvalidConfigError) as error:
        model("fused", recipe=SB3_A2C)
    assert str(error.value) == ("engine='fused' is not possible: the recipe has its own policy_loss; use engine='auto'")


def test_a_typo_in_the_engine_is_refused() -> None:
    with pytest.raises(InvalidConfigError) as error:
        model("fuse")
    assert str(error.value) == "`engine` must be 'auto', 'autograd' or 'fused', got 'fuse'"


@pytest.mark.parametrize("second_engine", ["autograd", "fused"])
def test_a_model_saved_by_one_engine_goes_on_with_the_other(tmp_path: Path, second_engine: Any) -> None:
    models = []
    for first_engine in ("fused", "autograd"):
        model(first_engine).learn(64).save(tmp_path / first_engine)
        loaded = CustomPPO.load(tmp_path / first_engine, env=model("auto").get_env(), device="cpu")
        loaded.engine = second_engine
        loaded.set_random_seed(3)
        models.append(loaded.learn(64, reset_num_timesteps=False))
    assert_same_models(*models)


def test_parameters_set_between_two_updates_are_taken_over() -> None:
    source = model("autograd").learn(96)
    models = []
    for engine in ("fused", "autograd"):
        target = model(engine).learn(64)
        # A copy: PyTorch's optimisers keep the very tensors that they load, and would go on to change the source's.
        parameters: Any = copy.deepcopy(source.get_parameters())
        target.set_parameters(parameters, device="cpu")
        target.set_random_seed(1)
        models.append(target.learn(64))
    assert_same_models(*models)


def replace_optimizer(policy: Any) -> None:
    policy.optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3, betas=(0.5, 0.9))


def replace_head(policy: Any) -> None:
    torch.manual_seed(9)
    policy.action_net = nn.Linear(64, 2)
    replace_optimizer(policy)


def replace_head_and_tell_the_optimizer(policy: Any) -> None:
    torch.manual_seed(9)
    policy.action_net = nn.Linear(64, 2)
    policy.optimizer.param_groups[0]["params"][:] = list(policy.parameters())


def replace_head_by_layers(policy: Any) -> None:
    torch.manual_seed(9)
    policy.action_net = nn.Sequential(nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, 2))
    replace_optimizer(policy)


def freeze_the_actor(policy: Any) -> None:
    for parameter in policy.mlp_extractor.policy_net.parameters():
        parameter.requires_grad = False


@pytest.mark.parametrize(
    "change", [replace_optimizer, replace_head, replace_head_and_tell_the_optimizer, replace_head_by_layers]
)
def test_parts_that_are_exchanged_between_updates_are_used(change: Callable[[Any], None]) -> None:
    models = []
    for engine in ("auto", "autograd"):
        trained = model(engine).learn(64)
        change(trained.policy)
        models.append(trained.learn(64, reset_num_timesteps=False))
    assert_same_models(*models)


def test_a_frozen_layer_stays_as_it_is() -> None:
    trained = model("auto").learn(64)
    freeze_the_actor(trained.policy)
    before = [p.clone() for p in trained.policy.mlp_extractor.policy_net.parameters()]
    trained.learn(64, reset_num_timesteps=False)
    for old, new in zip(before, trained.policy.mlp_extractor.policy_net.parameters(), strict=True):
        assert torch.equal(old, new)


HOOKS: dict[str, Callable[[Any, Callable[..., None]], Any]] = {
    "optimiser": lambda policy, hook: policy.optimizer.register_step_post_hook(hook),
    "layer": lambda policy, hook: policy.value_net.register_forward_hook(hook),
    "backward": lambda policy, hook: policy.value_net.register_full_backward_hook(hook),
    "gradient": lambda policy, hook: policy.value_net.bias.register_hook(hook),
}


@pytest.mark.parametrize("where", list(HOOKS))
def test_a_hook_registered_in_the_middle_is_called_and_changes_no_bit(where: str) -> None:
    calls: list[str] = []
    hooked_model, plain = model("auto").learn(64), model("fused").learn(64)
    engines: list[Any] = []
    handle = HOOKS[where](hooked_model.policy, lambda *_: calls.append(where))
    hooked_model.set_random_seed(0)
    hooked_model.learn(64, reset_num_timesteps=False)
    assert len(calls) >= 2 * 2 * 2, "two updates of two epochs of two minibatches"
    engines.append(type(hooked_model.agent.engine))

    handle.remove()
    hooked_model.learn(64, reset_num_timesteps=False)
    engines.append(type(hooked_model.agent.engine))
    assert engines == [AutogradEngine, FusedEngine]
    plain.set_random_seed(0)
    plain.learn(128, reset_num_timesteps=False)
    assert_same_models(hooked_model, plain)
