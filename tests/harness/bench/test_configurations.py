from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.bench import configurations
from harness.bench.configurations import CONFIGURATIONS, chosen_configurations, run_spec, scaled
from harness.errors import ConfigError, UnknownNameError


def test_names_are_unique_and_every_configuration_is_described() -> None:
    names = [configuration.name for configuration in CONFIGURATIONS]

    assert len(set(names)) == len(names) >= 10
    assert all(configuration.note for configuration in CONFIGURATIONS)


def test_without_names_all_are_chosen_and_names_keep_the_order_of_the_table() -> None:
    assert chosen_configurations([]) == list(CONFIGURATIONS)
    chosen = chosen_configurations(["dict", "cartpole-zoo"])
    assert [configuration.name for configuration in chosen] == ["cartpole-zoo", "dict"]


def test_the_guard_measures_configurations_that_exist() -> None:
    makefile = (Path(__file__).parents[3] / "Makefile").read_text(encoding="utf-8")
    (names,) = re.findall(r"^GUARDED := (\S+)$", makefile, re.MULTILINE)

    assert len(chosen_configurations(names.split(","))) == len(names.split(",")) >= 4


def test_a_typing_mistake_is_answered_with_the_closest_name() -> None:
    with pytest.raises(UnknownNameError, match=r"'cartpol-zoo' is not known, did you mean cartpole-zoo\? \(known: "):
        chosen_configurations(["cartpol-zoo"])


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda configuration: configuration.name)
def test_every_configuration_has_hyperparameters(configuration: configurations.Configuration) -> None:
    spec = run_spec(configuration, configuration.algo)

    assert spec.hyperparams.items() >= configuration.changes.items()
    assert "n_timesteps" not in spec.hyperparams
    assert spec.n_timesteps == configuration.n_timesteps


def test_an_entry_of_the_zoo_is_read_and_changed() -> None:
    (gsde, gaussian) = chosen_configurations(["pendulum-gsde", "pendulum-plain"])

    assert run_spec(gsde, "ppo").hyperparams["use_sde"] is True
    expected = {**run_spec(gsde, "ppo").hyperparams, "use_sde": False, "sde_sample_freq": -1}
    assert run_spec(gaussian, "ppo").hyperparams == expected


def test_the_scale_multiplies_the_steps() -> None:
    assert scaled(CONFIGURATIONS[0], 0.5).n_timesteps == CONFIGURATIONS[0].n_timesteps // 2


def test_a_missing_zoo_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_zoo() -> Path:
        raise ConfigError("rl_zoo3 is not installed")

    monkeypatch.setattr(configurations, "zoo_folder", no_zoo)

    with pytest.raises(ConfigError, match="rl_zoo3 is not installed"):
        run_spec(chosen_configurations(["cartpole-zoo"])[0], "ppo")
