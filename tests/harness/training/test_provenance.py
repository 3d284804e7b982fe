from __future__ import annotations

from types import SimpleNamespace

from harness.training.provenance import engine_of, provenance


def test_the_versions_of_what_trains_are_recorded() -> None:
    assert {"python", "torch", "stable_baselines3", "gymnasium", "numpy"} <= provenance()["versions"].keys()


def test_the_engine_of_a_model_is_what_the_model_says() -> None:
    assert engine_of(SimpleNamespace(engine_status=lambda: {"used": "fused"})) == {"used": "fused"}


def test_an_algorithm_without_engines_has_none() -> None:
    assert engine_of(SimpleNamespace()) == {}
    assert engine_of(SimpleNamespace(engine_status="parked")) == {}
