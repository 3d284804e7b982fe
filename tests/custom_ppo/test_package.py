from __future__ import annotations

import pytest

import custom_ppo


def test_the_public_names_are_there() -> None:
    assert custom_ppo.__all__ == ["CustomA2C", "CustomPPO", "PPOConfig", "Recipe"]
    for name in custom_ppo.__all__:
        assert getattr(custom_ppo, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'custom_ppo' has no attribute 'TRPO'$"):
        custom_ppo.TRPO  # noqa: B018
