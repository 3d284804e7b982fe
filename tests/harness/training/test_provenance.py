from __future__ import annotations

import os
from types import SimpleNamespace

from harness.training.provenance import engine_of, provenance, resources_used


def test_the_versions_of_what_trains_are_recorded() -> None:
    assert {"python", "torch", "stable_baselines3", "gymnasium", "numpy"} <= provenance()["versions"].keys()


def test_the_engine_of_a_model_is_what_the_model_says() -> None:
    assert engine_of(SimpleNamespace(engine_status=lambda: {"used": "fused"})) == {"used": "fused"}


def test_an_algorithm_without_engines_has_none() -> None:
    assert engine_of(SimpleNamespace()) == {}
    assert engine_of(SimpleNamespace(engine_status="parked")) == {}


def test_the_machine_is_recorded_and_what_a_run_used() -> None:
    hardware = provenance()["hardware"]
    assert (hardware["machine"], hardware["cores"]) == (os.uname().machine, os.cpu_count())
    assert hardware["memory"] > 2**28

    before = resources_used()
    block = bytearray(2**26)
    block[:: 2**10] = b"x" * len(block[:: 2**10])
    sum(range(10**6))
    after = resources_used()

    assert after["peak_memory"] > 2**26
    assert after["peak_memory"] >= before["peak_memory"]
    assert after["cpu_seconds"] > before["cpu_seconds"]
