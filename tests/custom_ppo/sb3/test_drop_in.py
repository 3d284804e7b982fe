"""Everything public of SB3's PPO, policy and rollout buffer: it is here too, or is absent for a reason."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.policies import ActorCriticPolicy

from custom_ppo import CustomA2C, CustomPPO
from custom_ppo.sb3 import MlpPolicy
from tests.custom_ppo.sb3.models import trained

DOCUMENT = Path(__file__).parents[3] / "docs" / "drop_in.md"

ABSENT: Mapping[str, Mapping[str, str]] = {
    "model": {},
    "policy": {
        "action_dist": "distributions are made for each batch; `get_distribution(obs)` returns one",
    },
    "rollout_buffer": {},
}
"""Public names of SB3's objects that ours do not have, and why."""

ADDED: Mapping[str, set[str]] = {"model": {"recipe", "engine"}, "policy": {"recipe"}}
"""Arguments of our constructors that SB3's do not have; all of them are optional."""


@pytest.fixture(scope="module")
def models() -> tuple[Any, Any]:
    return trained(CustomPPO), trained(PPO)


def part(model: Any, name: str) -> Any:
    return model if name == "model" else getattr(model, name)


def public(thing: Any) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


@pytest.mark.parametrize("name", list(ABSENT))
def test_all_public_names_are_there_or_absent_for_a_reason(models: tuple[Any, Any], name: str) -> None:
    ours, theirs = (public(part(model, name)) for model in models)
    assert theirs - ours == set(ABSENT[name])


@pytest.mark.parametrize("name", list(ABSENT))
def test_public_attributes_have_values_of_the_same_kind(models: tuple[Any, Any], name: str) -> None:
    ours, theirs = (part(model, name) for model in models)
    plain = (bool, int, float, str, tuple, dict, np.ndarray, torch.Tensor, torch.device, type(None))
    for attribute in sorted(public(theirs) - set(ABSENT[name])):
        value = getattr(theirs, attribute)
        if isinstance(value, plain):
            assert type(getattr(ours, attribute)) is type(value), attribute


@pytest.mark.parametrize("name", list(ABSENT))
def test_public_methods_take_sb3s_arguments(models: tuple[Any, Any], name: str) -> None:
    ours, theirs = (part(model, name) for model in models)
    for method in sorted(public(theirs) - set(ABSENT[name])):
        found = getattr(theirs, method)
        if inspect.ismethod(found):
            assert list(inspect.signature(getattr(ours, method)).parameters) == list(
                inspect.signature(found).parameters
            ), method


@pytest.mark.parametrize(
    ("ours", "theirs", "added"),
    [
        (CustomPPO, PPO, ADDED["model"]),
        (CustomA2C, A2C, {"engine"}),
        (MlpPolicy, ActorCriticPolicy, ADDED["policy"]),
    ],
)
def test_constructors_take_sb3s_arguments_in_their_order(ours: Any, theirs: Any, added: set[str]) -> None:
    our, their = (list(inspect.signature(cls).parameters) for cls in (ours, theirs))
    assert [name for name in our if name not in added] == their


def test_the_document_names_what_is_absent_or_added() -> None:
    text = DOCUMENT.read_text()
    for names in (*ABSENT.values(), *ADDED.values()):
        for name in names:
            assert f"`{name}`" in text
