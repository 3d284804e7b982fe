from __future__ import annotations

import importlib

import pytest

from harness.config.names import BORROWED, REGISTERED, ZOO_FILES
from harness.config.sources import zoo_folder

FOREIGN = {name: target for name, target in REGISTERED.items() if not target.startswith("custom_ppo.")}


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_every_registered_name_is_an_algorithm_of_the_installed_packages(name: str) -> None:
    from stable_baselines3.common.base_class import BaseAlgorithm

    module, _, attribute = FOREIGN[name].partition(":")
    assert issubclass(getattr(importlib.import_module(module), attribute), BaseAlgorithm)


@pytest.mark.parametrize("name", sorted(REGISTERED))
def test_the_zoo_has_hyperparameters_for_every_registered_name(name: str) -> None:
    assert (zoo_folder() / f"{ZOO_FILES.get(name, name)}.yml").is_file()


def test_hyperparameters_are_borrowed_between_registered_names_only() -> None:
    assert {*BORROWED, *BORROWED.values()} <= {*REGISTERED}
