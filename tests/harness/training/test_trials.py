from __future__ import annotations

import pytest

from harness.experiment.plan import RunSpec
from harness.training import trials
from harness.training.findings import Finding
from harness.training.trials import try_out
from tests.harness.odd_environments import MODULE, NAMES
from tests.harness.toy_subjects import tiny_spec


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("Exits", "ends the process (SystemExit: 3)"),
        ("Dies", "ends the process with exit code 7"),
        ("Crashes", "crashes the process (SIGSEGV)"),
        ("Hangs", "has not ended after 1 seconds"),
    ],
)
def test_an_environment_that_exits_or_hangs_is_a_message(name: str, trouble: str) -> None:
    spec = tiny_spec(env=NAMES[name])

    found = try_out([(spec.env, None)], [("ppo", "ppo")], [spec], seconds=1.0)

    assert found.findings == (Finding(f"{spec.env} {trouble} when it is tried out", spec.env, may_be_chance=True),)


def test_classes_that_cannot_be_imported_are_findings_about_their_labels() -> None:
    spec = tiny_spec("nowhere:Agent")

    (finding,) = try_out([], [(spec.algo, spec.algo_class)], [spec]).findings

    assert (finding.label, finding.is_problem) == ("Agent", True)
    assert finding.message.startswith("nowhere:Agent: there is no module nowhere")


@pytest.mark.parametrize(
    ("algo", "env", "hyperparams", "message", "key"),
    [
        (
            "dqn",
            "Pendulum-v1",
            {"n_steps": None, "n_epochs": None},
            "dqn cannot act in Pendulum-v1: it supports Discrete actions, not Box(-2.0, 2.0, (1,), float32)",
            None,
        ),
        (
            "custom_ppo",
            "CartPole-v1",
            {"recipe": "nonsense"},
            "custom_ppo cannot be built in CartPole-v1: InvalidConfigError: there is no recipe 'nonsense', ",
            "recipe",
        ),
        (
            "ppo",
            "CartPole-v1",
            {"gae_lamda": 1.0},
            "PPO has no argument gae_lamda, did you mean gae_lambda?",
            "gae_lamda",
        ),
        (
            "ppo",
            "CartPole-v1",
            {"policy": "CnnPolicy"},
            "ppo cannot be built in CartPole-v1: AssertionError: ",
            "policy",
        ),
        (
            "ppo",
            "CartPole-v1",
            {"env_wrapper": "gymnasium.make"},
            "gymnasium.make is not a wrapper: expected a subclass of gymnasium.core.Wrapper",
            None,
        ),
    ],
)
def test_a_model_that_cannot_be_built_names_its_cause(
    algo: str, env: str, hyperparams: dict[str, object], message: str, key: str | None
) -> None:
    spec = tiny_spec(algo, env, **hyperparams)

    (finding,) = try_out([(env, None)], [(algo, algo)], [spec]).findings

    assert finding.message.startswith(message)
    assert (finding.env, finding.label) == (env, algo)
    assert key is None or finding.key == key


def test_speeds_are_measured_once_for_each_class_in_each_environment() -> None:
    env = NAMES["Plain"]
    specs = [
        tiny_spec("ppo", env),
        tiny_spec("ppo", env, gamma=0.5),
        tiny_spec("dqn", env, n_steps=None, n_epochs=None),
    ]

    found = try_out([(env, None)], [("ppo", "ppo"), ("dqn", "dqn")], specs, measure=True)

    assert found.findings == ()
    assert set(found.speeds) == {("ppo", env), ("dqn", env)}
    for speed in found.speeds.values():
        assert speed.training > 10
        assert speed.evaluation > 100
        assert speed.episode_length == 10
    assert MODULE in env


def test_runs_that_differ_only_in_checked_numbers_are_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[str, object]] = []

    def note(specs: list[RunSpec], *_: object) -> list[Finding]:
        built.extend((spec.algo, spec.hyperparams) for spec in specs)
        return []

    monkeypatch.setattr(trials, "_try_to_build", note)
    specs = [
        *(tiny_spec("ppo", gamma=gamma) for gamma in (0.5, 0.9)),
        tiny_spec("ppo", learning_rate="lin_0.1"),
        *(tiny_spec("trpo", gamma=gamma) for gamma in (0.5, 0.9)),
    ]

    try_out([], [], specs)

    assert built == [(spec.algo, spec.hyperparams) for spec in (specs[0], *specs[2:])]
