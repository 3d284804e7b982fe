from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import stable_baselines3
from stable_baselines3.common.policies import ActorCriticPolicy

from harness.config import check_config, load_config
from harness.config.documents import PlacedError, parse_document
from harness.config.entries import _PPO_DEFAULTS, accepted_keys, check_entry
from harness.config.sources import zoo_folder

CheckPPO = Callable[..., list[str]]

ZOO_KEYS = {
    "callback",
    "n_envs",
    "n_timesteps",
    "normalize",
    "frame_stack",
    "env_wrapper",
    "vec_env_wrapper",
    "env_kwargs",
}
SET_BY_HARNESS = {"self", "env", "seed", "verbose", "tensorboard_log", "_init_setup_model"}


@pytest.mark.parametrize(("name", "algorithm"), [("ppo", stable_baselines3.PPO), ("a2c", stable_baselines3.A2C)])
def test_the_keys_are_those_of_the_installed_constructor_and_of_the_zoo(name: str, algorithm: type) -> None:
    arguments = set(inspect.signature(algorithm.__init__).parameters) - SET_BY_HARNESS
    assert accepted_keys(name) == arguments | ZOO_KEYS | {"monitor_kwargs"}


def test_the_policy_arguments_are_those_of_the_installed_policy(check_ppo: CheckPPO) -> None:
    spaces = {"self", "observation_space", "action_space", "lr_schedule"}
    for argument in set(inspect.signature(ActorCriticPolicy.__init__).parameters) - spaces:
        value = "nn.ReLU" if argument.endswith(("_fn", "_class")) else "1"
        assert check_ppo(f"policy_kwargs: {{{argument}: {value}}}") == []


def test_the_defaults_for_contradictions_are_those_of_the_installed_ppo() -> None:
    parameters = inspect.signature(stable_baselines3.PPO.__init__).parameters
    assert {key: parameters[key].default for key in _PPO_DEFAULTS if key != "n_envs"} | {"n_envs": 1} == _PPO_DEFAULTS


@pytest.mark.parametrize("name", ["trpo", "sac", "package.module:Class"])
def test_the_keys_of_other_algorithms_are_unknown(name: str) -> None:
    assert accepted_keys(name) is None


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_every_entry_of_the_zoo_is_accepted(name: str) -> None:
    path = zoo_folder() / f"{name}.yml"
    root = parse_document(path.read_text(), str(path)).root
    problems: list[PlacedError] = []
    for env in root.value:
        entry = root[env]
        checked = check_entry(dict(entry.items()), name, problems)
        # Equal to what rl_zoo3 reads, except that integers written as floats become int.
        assert checked == entry.value
        assert isinstance(checked["n_timesteps"], int)
    assert problems == []
    assert len(root.value) > 20


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("n_step: 5", "n_step: unknown key, did you mean n_steps?"),
        ("n_steps: 0", "n_steps: expected an integer >= 1, got 0"),
        ("n_steps: 1.5e0", "n_steps: expected an integer >= 1, got 1.5"),
        ("n_steps: '64'", 'n_steps: expected an integer >= 1, got the text "64"'),
        ("batch_size: 1", "batch_size: expected an integer >= 2 because normalize_advantage is on, got 1"),
        ("n_steps: 1", "n_steps: n_steps * n_envs must be >= 2 because normalize_advantage is on, got 1"),
        ("gamma: 0", "gamma: expected a number in (0, 1], got 0"),
        ("gamma: 99", "gamma: expected a number in (0, 1], got 99"),
        ("gae_lambda: -0.1", "gae_lambda: expected a number in [0, 1], got -0.1"),
        ("clip_range: 0", "clip_range: expected a number > 0 or lin_NUMBER, got 0"),
        ("clip_range: lin_0", 'clip_range: expected a number > 0 or lin_NUMBER, got the text "lin_0"'),
        ("clip_range_vf: -1", "clip_range_vf: expected a number > 0 or lin_NUMBER or null, got -1"),
        ("learning_rate: -1e-3", "learning_rate: expected a number >= 0 or lin_NUMBER, got -0.001"),
        (
            "learning_rate: linear_0.1",
            'learning_rate: expected a number or lin_NUMBER (linear to 0), got the text "linear_0.1", '
            "did you mean lin_0.1?",
        ),
        ("ent_coef: auto", 'ent_coef: expected a number, got the text "auto"'),
        ("n_envs: 0", "n_envs: expected an integer >= 1, got 0"),
        ("max_grad_norm: 0", "max_grad_norm: expected a number > 0, got 0"),
        ("target_kl: 0", "target_kl: expected a number > 0 or null, got 0"),
        ("use_sde: 1", "use_sde: expected true or false, got 1"),
        ("normalize: 1", "normalize: expected a mapping or text such as dict(key=value), got 1"),
        ("normalize: dict(norm=True)", "normalize: VecNormalize has no argument norm"),
        (
            "policy_kwargs: dict(net_arc=[64])",
            "policy_kwargs: MlpPolicy has no argument net_arc, did you mean net_arch?",
        ),
        (
            "policy_kwargs: {activation_fn: ReLU}",
            "policy_kwargs: activation_fn must name a class such as nn.ReLU, without quotes",
        ),
        ("seed: 3", "seed: is set by the harness, remove it"),
        ("verbose: 1", "verbose: is set by the harness, remove it"),
        ("rms_prop_eps: 1", "rms_prop_eps: unknown key"),
        (
            "callback: 3",
            "callback: expected the dotted name of a callback class, got 3",
        ),
        (
            "callback: [{a.B: {c: 1}, d.E: {}}]",
            "callback: expected one callback in each list item; check the indentation of its arguments",
        ),
        (
            "callback: {a.B: [1]}",
            "callback: expected the arguments of a.B as a mapping, got a list",
        ),
        (
            "callback: {a.B: {save_path: ../../x}}",
            "callback: save_path of a.B must lie in the folder of the run, expected a relative path without .., "
            'got the text "../../x"',
        ),
        (
            "callback: {a.B: {name_prefix: /etc/x}}",
            "callback: name_prefix of a.B must lie in the folder of the run, expected a relative path without .., "
            'got the text "/etc/x"',
        ),
    ],
)
def test_a_value_that_cannot_train_is_refused_where_it_stands(check_ppo: CheckPPO, line: str, message: str) -> None:
    (found,) = check_ppo(line)
    assert found.startswith(message)
    assert "\n" not in found


@pytest.mark.parametrize(
    "line",
    [
        "n_steps: 1e3",
        "target_kl: null",
        "clip_range_vf: lin_0.2",
        "learning_rate: 0",
        "batch_size: 50_000",
        "sde_sample_freq: -1",
        "normalize: true",
        "env_wrapper: [gymnasium.wrappers.TimeAwareObservation, {rl_zoo3.wrappers.FrameSkip: {skip: 2}}]",
        "callback: stable_baselines3.common.callbacks.ProgressBarCallback",
        "callback: [rl_zoo3.callbacks.RawStatisticsCallback, {a.B: {save_path: models/best, name_prefix: a..b}}]",
        "callback: null",
        "rollout_buffer_class: DictRolloutBuffer",
        "policy_kwargs: {net_arch: {pi: [64], vf: [64]}, activation_fn: nn.ReLU, optimizer_kwargs: {eps: 1e-5}}",
        "normalize_advantage: false\n      batch_size: 1",
    ],
)
def test_a_value_that_can_train_is_accepted(check_ppo: CheckPPO, line: str) -> None:
    assert check_ppo(line) == []


def test_integers_are_normalised_and_other_values_kept_as_written(folder: Path) -> None:
    (folder / "a.yml").write_text(
        "name: a\nalgorithms: [ppo]\nenvironments: {X-v0: {n_timesteps: 1e4}}\nseeds: 1\nhyperparameters:\n"
        "  ppo:\n    X-v0:\n      {policy: MlpPolicy, n_steps: !!float 1e2, clip_range: lin_0.2,"
        " policy_kwargs: 'dict(net_arch=[8])'}"
    )
    (algorithm,) = load_config(Path("a.yml")).algorithms
    assert algorithm.hyperparams["X-v0"] == {
        "policy": "MlpPolicy",
        "n_steps": 100,
        "clip_range": "lin_0.2",
        "policy_kwargs": "dict(net_arch=[8])",
    }
    assert isinstance(algorithm.hyperparams["X-v0"]["n_steps"], int)


def test_engine_is_a_key_of_custom_ppo_only(check_ppo: CheckPPO) -> None:
    assert check_ppo("engine: fused", algorithm="custom_ppo") == []
    assert check_ppo("engine: fused")[0].startswith("engine: unknown key")


def test_a_policy_without_a_dot_is_one_of_sb3s(check: Callable[..., list[str]]) -> None:
    found = check(hyperparameters="{ppo: {default: {policy: MlpPolice}}}")
    assert found == [
        "a.yml:5: hyperparameters.ppo.default.policy: there is no policy MlpPolice, did you mean MlpPolicy?"
    ]


def test_a_policy_of_another_package_may_have_any_argument(folder: Path) -> None:
    (folder / "a.yml").write_text(
        "name: a\nalgorithms: [ppo]\nenvironments: {X-v0: {n_timesteps: 1e4}}\nseeds: 1\n"
        "hyperparameters: {ppo: {X-v0: {policy: mine.Net, policy_kwargs: {depth: 3}, env_wrapper: mine.W}}}\n"
    )
    assert check_config(Path("a.yml")) == []
