from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.evaluation import evaluate_policy

from harness.experiment.plan import RunSpec
from harness.training import lean_predictions as module
from harness.training.envs import lean_classes, make_eval_env, make_training_env
from harness.training.lean_predictions import lean_predictions
from harness.training.models import build_model
from harness.training.train import _copy_normalization
from tests.harness.toy_subjects import FAULTY_ENV, tiny_spec

A2C = {"n_steps": 16, "batch_size": None, "n_epochs": None}
DOUBLE_PENDULUM = "InvertedDoublePendulum-v5"


def model_of(algo: str = "ppo", env: str = "CartPole-v1", **hyperparams: Any) -> Any:
    spec = tiny_spec(algo, env, **hyperparams)
    return build_model(spec, make_training_env(spec, None))


def bits(actions: Any) -> tuple[Any, ...]:
    return actions.dtype, actions.shape, actions.tobytes()


@pytest.fixture
def _policy_is_called_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if actions are left to the policy after the first comparison."""
    original = module._Predict.__init__

    def init(self: Any, policy: Any) -> None:
        original(self, policy)
        predict, calls = self._predict, []

        def once(*arguments: Any) -> Any:
            assert not calls, "the policy predicts a second time"
            calls.append(1)
            return predict(*arguments)

        self._predict = once

    monkeypatch.setattr(module._Predict, "__init__", init)


@pytest.mark.usefixtures("_policy_is_called_once")
@pytest.mark.parametrize("algo", ["ppo", "custom_ppo"])
@pytest.mark.parametrize(
    ("env", "hyperparams"),
    [
        ("CartPole-v1", {}),
        ("Pendulum-v1", {}),
        ("Pendulum-v1", {"use_sde": True}),
        ("MountainCarContinuous-v0", {"policy_kwargs": "dict(activation_fn=nn.ReLU, net_arch=[8])"}),
    ],
)
@pytest.mark.parametrize("scale", [0.0, 0.1, 30.0], ids=["ties", "usual", "saturated"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_actions_are_those_of_predict(
    algo: str, env: str, hyperparams: dict[str, Any], scale: float, dtype: type[Any]
) -> None:
    model = model_of(algo, env, **hyperparams)
    generator = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in model.policy.action_net.parameters():
            parameter.copy_(torch.as_tensor(scale * generator.normal(size=parameter.shape)))
    shape = 10, *model.observation_space.shape
    batches = [(generator.normal(size=shape) * 10 ** generator.uniform(-3, 3)).astype(dtype) for _ in range(100)]
    expected = [bits(model.predict(batch, deterministic=True)[0]) for batch in batches]

    with lean_predictions(model):
        found = [bits(model.predict(batch, deterministic=True)[0]) for batch in batches]

    assert found == expected


def test_two_probabilities_that_rounding_makes_equal_give_the_first_action() -> None:
    model = model_of()
    with torch.no_grad():
        model.policy.action_net.weight.zero_()
        model.policy.action_net.bias.copy_(torch.tensor([1.0, np.nextafter(np.float32(1), np.float32(2))]))
    batch = np.zeros((3, 4), np.float32)
    expected = model.predict(batch, deterministic=True)[0].tolist()

    with lean_predictions(model):
        found = [model.predict(batch, deterministic=True)[0].tolist() for _ in range(2)]

    assert found == [expected, expected]


@pytest.mark.parametrize("n_calls_before", [0, 1])
def test_observations_that_are_nan_raise_what_sb3_raises(n_calls_before: int) -> None:
    model = model_of()
    batch = np.zeros((3, 4), np.float32)
    with lean_predictions(model):
        for _ in range(n_calls_before):
            model.predict(batch, deterministic=True)
        with pytest.raises(ValueError, match="to satisfy the constraint"):
            model.predict(batch + np.float32(np.nan), deterministic=True)


def test_stochastic_actions_and_single_observations_are_left_to_the_policy() -> None:
    model = model_of()
    batch = np.zeros((3, 4), np.float32)

    def sampled() -> list[Any]:
        torch.manual_seed(0)
        return [model.predict(batch)[0].tolist(), model.predict(batch[0], deterministic=True)[0].tolist()]

    expected = sampled()
    with lean_predictions(model):
        model.predict(batch, deterministic=True)
        assert sampled() == expected


def _hook(model: Any) -> None:
    model.policy.action_net.register_forward_hook(lambda *_: None)


@pytest.mark.parametrize(
    "change",
    [
        _hook,
        lambda model: setattr(model.policy, "predict", model.policy.predict),
        lambda model: setattr(model.policy, "_predict", model.policy._predict),
        lambda model: setattr(model.policy, "__class__", type("Other", (type(model.policy),), {})),
        lambda model: setattr(model.policy, "action_net", torch.nn.Sequential(model.policy.action_net)),
        lambda model: model.policy.mlp_extractor.policy_net.append(torch.nn.Dropout()),
        lambda model: model.policy.double(),
        lambda model: model.policy.log_std.data.fill_(-200),
        lambda model: model.policy.value_net.bias.data.fill_(torch.inf),
    ],
    ids=["hook", "predict", "_predict", "class", "layer", "dropout", "double", "no noise", "infinity"],
)
def test_a_policy_that_is_not_the_usual_one_keeps_its_predict(change: Callable[[Any], Any]) -> None:
    model = model_of(env="Pendulum-v1")
    with lean_predictions(model):
        assert isinstance(model.policy.predict, module._Predict)

    change(model)

    before = model.policy.predict
    with lean_predictions(model):
        assert model.policy.predict == before


@pytest.mark.parametrize(
    ("algo", "hyperparams"), [("dqn", {"learning_starts": 50}), ("recurrent_ppo", {"policy": "MlpLstmPolicy"})]
)
def test_other_policies_keep_their_predict(algo: str, hyperparams: dict[str, Any]) -> None:
    model = model_of(algo, n_steps=None, n_epochs=None, batch_size=None, n_envs=1, **hyperparams)

    with lean_predictions(model):
        assert "predict" not in vars(model.policy)


def test_a_model_without_a_policy_stays_as_it_is() -> None:
    with lean_predictions(object()):
        pass


def test_the_policy_has_its_own_predict_again_after_an_error() -> None:
    model = model_of()
    with pytest.raises(KeyError), lean_predictions(model):
        raise KeyError

    assert "predict" not in vars(model.policy)


def test_actions_that_disagree_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(env="Pendulum-v1")
    batch = np.ones((3, 3), np.float32)
    expected = bits(model.predict(batch, deterministic=True)[0])
    monkeypatch.setattr(module._Predict, "_actions", lambda *_: np.zeros((3, 1), np.float32))

    with lean_predictions(model):
        assert [bits(model.predict(batch, deterministic=True)[0]) for _ in range(3)] == [expected] * 3


def played(spec: RunSpec, model: Any, n_episodes: int, **classes: Any) -> tuple[Any, ...]:
    """Return the results of two evaluations in one set of environments, and the generators' states after them."""
    env = make_eval_env(spec, 7, n_episodes, **classes)
    _copy_normalization(model, env)
    rounds = []
    for _ in range(2):
        rewards, lengths = evaluate_policy(model, env, n_episodes, deterministic=True, return_episode_rewards=True)
        rounds.append(([reward.hex() for reward in rewards], lengths))  # type: ignore[union-attr]
    base: Any = env.unwrapped
    states = [str(member.unwrapped.np_random.bit_generator.state) for member in base.envs]
    env.close()
    return rounds, states, torch.get_rng_state().tolist()


@pytest.mark.parametrize(
    "spec",
    [
        tiny_spec(),
        tiny_spec("custom_ppo"),
        tiny_spec("a2c", **A2C),
        tiny_spec(normalize=True),
        tiny_spec("custom_ppo", "Pendulum-v1", use_sde=True, normalize=True),
        tiny_spec("a2c", "Pendulum-v1", use_sde=True, policy_kwargs="dict(log_std_init=-2, ortho_init=False)", **A2C),
        tiny_spec("ppo", DOUBLE_PENDULUM, normalize=True),
        tiny_spec("custom_ppo", DOUBLE_PENDULUM),
        tiny_spec("ppo", "CartPole-v1", frame_stack=2),
        tiny_spec("ppo", FAULTY_ENV),
    ],
    ids=lambda spec: f"{spec.algo} {spec.env}",
)
@pytest.mark.parametrize("n_episodes", [3, 12])
def test_evaluations_are_those_of_sb3_with_lean_environments_too(spec: RunSpec, n_episodes: int) -> None:
    model = build_model(spec, make_training_env(spec, None)).learn(256)
    expected = played(spec, model, n_episodes)

    with lean_predictions(model):
        found = played(spec, model, n_episodes, classes=lean_classes())

    assert found == expected


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("native", [None, lambda observations: np.zeros(len(observations), np.float32)])
def test_predictions_do_without_kernels_that_are_missing_or_wrong(
    env: str, native: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(env=env)
    batches = [np.full((4, *model.observation_space.shape), value, np.float32) for value in (0.5, 1.0, 2.0)]
    expected = [bits(model.predict(batch, deterministic=True)[0]) for batch in batches]
    monkeypatch.setattr(module, "import_target", lambda _: lambda *_, **__: native)

    with lean_predictions(model):
        assert [bits(model.predict(batch, deterministic=True)[0]) for batch in batches] == expected
        assert model.policy.predict._native is None


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_batches_of_another_size_than_the_first_have_their_own_actions(env: str) -> None:
    model = model_of(env=env)
    batches = [np.full((n, *model.observation_space.shape), 0.1 * n, np.float32) for n in (5, 2, 5, 9)]
    expected = [bits(model.predict(batch, deterministic=True)[0]) for batch in batches]

    with lean_predictions(model):
        assert [bits(model.predict(batch, deterministic=True)[0]) for batch in batches] == expected
