from __future__ import annotations

from pathlib import Path

import pytest

from harness.crosscheck.environments import ENVIRONMENTS
from harness.crosscheck.profiles import PROFILES, named_profile, profile_of_file
from harness.errors import ConfigError, UnknownNameError

YAML = """\
CartPole-v1:
  n_envs: 2
  n_timesteps: !!float 1e4
  policy: MlpPolicy
  n_steps: 16
  batch_size: 8
  n_epochs: 2
  learning_rate: lin_1e-3
  normalize: true
"""


def settings_file(folder: Path, text: str = YAML) -> Path:
    path = folder / "mine.yml"
    path.write_text(text)
    return path


def test_in_the_stress_profile_every_term_of_the_loss_has_an_effect() -> None:
    cases = {case.env: case.settings for case in named_profile("stress").cases}

    assert cases.keys() == ENVIRONMENTS.keys()
    for settings in cases.values():
        assert settings["ent_coef"] > 0
        assert settings["vf_coef"] not in (0, 0.5, 1)
    assert any(settings["clip_range_vf"] for settings in cases.values())
    assert any(settings.get("target_kl") for settings in cases.values())
    assert any(callable(settings["clip_range"]) and callable(settings["learning_rate"]) for settings in cases.values())


def test_its_batch_size_does_not_divide_the_rollout() -> None:
    for case in named_profile("stress").cases:
        assert case.settings["n_steps"] * case.n_envs % case.settings["batch_size"]


def test_a_schedule_falls_to_a_third() -> None:
    rate = next(case for case in named_profile("stress").cases if case.env == "CartPole15").settings["learning_rate"]

    assert (rate(1.0), rate(0.5), rate(0.0)) == pytest.approx((1e-2, 2e-2 / 3, 1e-2 / 3))


def test_the_default_profile_has_the_default_hyperparameters() -> None:
    assert [set(case.settings) for case in PROFILES["default"].cases] == [{"n_steps"}, {"n_steps"}]


def test_other_environments_get_the_settings_of_the_first_case() -> None:
    stress = named_profile("stress")

    chosen = stress.with_envs(("Acrobot-v1", "ManySwitches"))

    assert [case.env for case in chosen.cases] == ["Acrobot-v1", "ManySwitches"]
    assert chosen.cases[0].settings == stress.cases[0].settings
    assert chosen.cases[1] in stress.cases


def test_an_unknown_profile_is_refused_with_what_there_is() -> None:
    with pytest.raises(UnknownNameError, match=r"^profile 'stres' is not known, did you mean stress\? .*default"):
        named_profile("stres")


def test_a_file_gives_settings_policy_and_environments(tmp_path: Path) -> None:
    (case,) = profile_of_file(settings_file(tmp_path), ["CartPole-v1"], "ppo").cases

    assert (case.env, case.n_envs, case.policy, case.n_updates) == ("CartPole-v1", 2, "MlpPolicy", 2)
    assert (case.settings["n_steps"], case.settings["batch_size"]) == (16, 8)
    assert case.settings["learning_rate"](0.5) == pytest.approx(5e-4)
    assert case.spec is not None
    assert case.spec.hyperparams["normalize"] is True


def test_an_environment_missing_from_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Acrobot-v1"):
        profile_of_file(settings_file(tmp_path), ["Acrobot-v1"], "ppo")


def test_a_mistake_in_the_file_is_reported_with_its_line(tmp_path: Path) -> None:
    path = settings_file(tmp_path, YAML.replace("n_epochs", "n_epoch"))

    with pytest.raises(ConfigError, match=r"mine\.yml:7:3: .*n_epoch.*did you mean n_epochs"):
        profile_of_file(path, ["CartPole-v1"], "ppo")
